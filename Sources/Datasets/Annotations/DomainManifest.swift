import JSONReading

/// The lists of one domain of a continual benchmark:
/// `{"domain": NAME, "train": [NAME, ...], "test": [NAME, ...], "memory": [NAME, ...]}`.
///
/// `memory` names training images, and may be missing. Of the further keys `samples` is read, a list of objects with `name` and
/// `sha256`, by which a check knows whether a sample is what it was; all others are for readers.
package struct DomainManifest: Equatable, Sendable {
    /// The domain's name; empty if the file gives none.
    package private(set) var domain = ""
    /// Names of the training images, in the order of the file.
    package private(set) var train: [String] = []
    /// Names of the images to evaluate on.
    package private(set) var test: [String] = []
    /// Names of the training images that are kept for later stages.
    package private(set) var memory: [String] = []
    /// The SHA-256 of samples by their names, in hexadecimal digits.
    package private(set) var digests: [String: String] = [:]

    /// Names in one list; a domain of the benchmark has about a thousand.
    private static let mostNames = 1 << 20

    /// Reads a file below the root and records every fault; a list at fault has what could be read of it.
    init(_ list: String, in folder: AnnotatedFolder, _ report: inout AnnotationReport) {
        do throws(AnnotationFault) {
            guard folder.exists(list) else {
                throw AnnotationFault(
                    file: folder.path(list), .unreadable,
                    "is missing; it lists the images to train on and to evaluate on (data.annotations can name another)"
                )
            }
            let file = try folder.annotationFile(list)
            var faults = RecordFaults()
            do throws(AnnotationFault) {
                try read(file, &faults)
            } catch {
                for fault in faults.faults {
                    try report.add(AnnotationFault(file: file.path, fault.rule, fault.found))
                }
                throw error
            }
            check(&faults)
            for fault in faults.faults { try report.add(AnnotationFault(file: file.path, fault.rule, fault.found)) }
        } catch {
            // A report that does not stop at the first error lists this one too.
            try? report.add(error)
        }
    }

    /// Reads the manifest of a folder for its digests; nil if it has faults, which opening the data set reports.
    package init?(_ options: DatasetOptions) {
        guard let folder = try? AnnotatedFolder(options) else { return nil }
        var report = AnnotationReport()
        self.init(LabelledImages.manifestName(options), in: folder, &report)
        guard report.errors == 0 else { return nil }
    }

    private mutating func read(_ file: AnnotationFile, _ faults: inout RecordFaults) throws(AnnotationFault) {
        var reader = AnnotationReader(file)
        guard try reader.kind() == .object else { throw reader.fault(.wrongType, "the manifest is not an object") }
        var seen: [String] = []
        try reader.object { reader, key throws(AnnotationFault) in
            switch key {
            case "domain":
                if let name = try reader.stringOrNil() {
                    domain = name
                } else {
                    faults.add(.wrongType, "'domain' is not a text")
                }
            case "train": train = try Self.names(&reader, key, &faults)
            case "test": test = try Self.names(&reader, key, &faults)
            case "memory": memory = try Self.names(&reader, key, &faults)
            case "samples": try readSamples(&reader, &faults)
            default: try reader.skip()
            }
            seen.append(key)
        }
        try reader.finish()
        for key in ["train", "test"] where !seen.contains(key) { faults.add(.missingKey, "'\(key)' is missing") }
    }

    /// A list of names that can be those of files.
    private static func names(
        _ reader: inout AnnotationReader, _ key: String, _ faults: inout RecordFaults
    ) throws(AnnotationFault) -> [String] {
        guard try reader.kind() == .array else {
            try reader.skip()
            faults.add(.wrongType, "'\(key)' is not a list")
            return []
        }
        var names: [String] = []
        try reader.array { reader throws(AnnotationFault) in
            guard let name = try reader.stringOrNil() else {
                faults.add(.wrongType, "'\(key)' holds something else than names")
                return
            }
            guard !name.isEmpty, !name.contains("/"), !name.utf8.contains(0), name.utf8.count <= 255 else {
                faults.add(.path, "'\(key)': the name \(name.prefix(80).debugDescription) is not a file name")
                return
            }
            guard names.count < mostNames else { throw reader.fault(.syntax, "more than 2^20 names in '\(key)'") }
            names.append(name)
        }
        return names
    }

    private mutating func readSamples(
        _ reader: inout AnnotationReader, _ faults: inout RecordFaults
    ) throws(AnnotationFault) {
        guard try reader.kind() == .array else {
            try reader.skip()
            faults.add(.wrongType, "'samples' is not a list")
            return
        }
        try reader.array { reader throws(AnnotationFault) in
            guard try reader.kind() == .object else {
                try reader.skip()
                faults.add(.wrongType, "a sample that is not an object")
                return
            }
            var (name, digest): (String?, String?)
            try reader.object { reader, key throws(AnnotationFault) in
                switch key {
                case "name": name = try reader.stringOrNil()
                case "sha256": digest = try reader.stringOrNil()
                default: try reader.skip()
                }
            }
            guard let name else { return faults.add(.missingKey, "a sample without 'name'") }
            guard digests.count < Self.mostNames else { throw reader.fault(.syntax, "more than 2^20 samples") }
            digests[name] = digest
        }
    }

    /// Rules between the lists; what breaks one is left out of them.
    private mutating func check(_ faults: inout RecordFaults) {
        var owner: [String: String] = [:]
        func unclaimed(_ names: [String], _ key: String) -> [String] {
            names.filter { name in
                guard let other = owner[name] else {
                    owner[name] = key
                    return true
                }
                let found = other == key ? "twice in '\(key)'" : "in 'train' and in 'test'"
                faults.add(.duplicateImage, "\(name.debugDescription) is \(found)")
                return false
            }
        }
        train = unclaimed(train, "train")
        test = unclaimed(test, "test")
        var kept = Set<String>()
        memory = memory.filter { name in
            guard owner[name] == "train" else {
                faults.add(.badValue, "\(name.debugDescription) is in 'memory' but not in 'train'")
                return false
            }
            guard kept.insert(name).inserted else {
                faults.add(.duplicateImage, "\(name.debugDescription) is twice in 'memory'")
                return false
            }
            return true
        }
        if train.isEmpty, test.isEmpty { faults.add(.missingKey, "'train' and 'test' name no image") }
    }
}
