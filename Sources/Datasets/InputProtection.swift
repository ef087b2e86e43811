import Foundation

/// Keeps what a command writes from replacing what it reads.
package enum InputProtection {
    /// A file, under whatever name and through whatever link it is reached.
    private struct Identity: Hashable {
        let device: UInt64
        let number: UInt64

        /// Of the file that a path leads to; nil if there is none.
        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            self.init(status)
        }

        private init(_ status: stat) { (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino)) }

        /// Of a link itself; nil if the path is no link.
        init?(ofLink path: String) {
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return nil }
            self.init(status)
        }
    }

    /// Throws `DatasetError` of kind `invalidOption` if an output is one of the inputs. Call it before anything is written.
    ///
    /// - Parameters:
    ///   - outputs: The files that will be written; those that do not exist yet replace nothing.
    ///   - files: Files that are read; missing ones are someone else's error.
    ///   - folders: Folders whose files are read; they are listed only if an output exists.
    package static func check(
        outputs: [String], files: [String], folders: [String] = []
    ) throws(DatasetError) {
        var replaced: [Identity: String] = [:]
        for output in outputs {
            // An output replaces a link, not its target; but the link may be the name of the input.
            for identity in [Identity(output), Identity(ofLink: output)] {
                if let identity { replaced[identity] = output }
            }
        }
        guard !replaced.isEmpty else { return }
        for file in files { try check(file, replaced) }
        for folder in folders {
            var visited: Set<Identity> = []
            try check(filesOf: folder, replaced, &visited)
        }
    }

    /// Throws if an output folder is an input folder or lies inside it.
    package static func check(outputFolder: String, outside input: String) throws(DatasetError) {
        guard let inner = Identity(input) else { return }
        // The folder need not exist yet: its nearest parent that does is looked at first.
        var place = URL(fileURLWithPath: outputFolder).standardizedFileURL.path
        while Identity(place) == nil, place != "/" { place = (place as NSString).deletingLastPathComponent }
        var steps = DatasetFile.realPath(place) ?? place
        while true {
            if Identity(steps) == inner {
                throw DatasetError(
                    .invalidOption, at: outputFolder,
                    "is inside the input folder, where a second run would take it for input",
                    remedy: "choose a folder outside \(input)")
            }
            if steps == "/" { return }
            steps = (steps as NSString).deletingLastPathComponent
        }
    }

    private static func check(_ file: String, _ replaced: [Identity: String]) throws(DatasetError) {
        for identity in [Identity(file), Identity(ofLink: file)] {
            guard let identity, let output = replaced[identity] else { continue }
            throw DatasetError(
                .invalidOption, at: output, output == file ? "is an input" : "is the input \(file)",
                remedy: "write to another place, so that nothing is lost")
        }
    }

    /// Goes through links too: they may lead to the output.
    private static func check(
        filesOf folder: String, _ replaced: [Identity: String], _ visited: inout Set<Identity>
    ) throws(DatasetError) {
        guard let identity = Identity(folder), visited.insert(identity).inserted else { return }
        for name in ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() {
            let path = folder + "/" + name
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { continue }
            if isFolder.boolValue {
                try check(filesOf: path, replaced, &visited)
            } else {
                try check(path, replaced)
            }
        }
    }
}
