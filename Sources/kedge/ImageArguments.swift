import DataTools
import Datasets
import Foundation
import Imaging
import Telemetry

/// The images that the arguments of a command name: files, and folders with all images below them.
struct ImageArguments {
    /// The paths, in the order of the arguments, those of a folder in the order of their names.
    let paths: [String]
    /// Whether an argument is a folder, or there are several.
    let areMany: Bool
    /// The folders among the arguments.
    let roots: [String]
    /// What distinguishes them, without endings: the path below its folder, or the name of the file.
    private let names: [String]

    /// Finds the images. Throws `RunError` of kind `missingInput` for what does not exist, and for a folder without any.
    init(_ arguments: [String]) throws {
        var roots: [String] = []
        let found = try arguments.flatMap { argument -> [(path: String, name: String)] in
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: argument, isDirectory: &isFolder) else {
                throw RunError(
                    .missingInput, "\(argument): no such file or folder", remedy: "give images (PNG, JPEG) or folders")
            }
            guard isFolder.boolValue else {
                return [(argument, Self.name(URL(fileURLWithPath: argument).lastPathComponent))]
            }
            roots.append(argument)
            let files = try ImageListing.imageFiles(in: argument)
            guard !files.isEmpty else {
                throw RunError(
                    .missingInput, "\(argument) has no image", remedy: "give a folder with PNG or JPEG files")
            }
            let root = argument.hasSuffix("/") ? argument : argument + "/"
            return files.map { (root + $0, Self.name($0)) }
        }
        (paths, names, self.roots) = (found.map(\.path), found.map(\.name), roots)
        areMany = arguments.count > 1 || !roots.isEmpty
    }

    private static func name(_ file: String) -> String { (file as NSString).deletingPathExtension }

    /// The folder of each image's results: the output itself for a single image, else one below it with the image's name.
    ///
    /// Throws `RunError` for two images of the same name.
    func folders(in output: String) throws(RunError) -> [String] {
        guard areMany else { return [output] }
        var seen: [String: String] = [:]
        for (path, name) in zip(paths, names) {
            if let other = seen[name] {
                throw RunError(
                    .configuration, "the results of \(other) and \(path) would have the same folder \(output)/\(name)",
                    remedy: "segment them one after the other, with different --output")
            }
            seen[name] = path
        }
        return names.map { output + "/" + $0 }
    }

    /// Creates an output folder. Throws `RunError`.
    static func make(_ folder: String) throws(RunError) {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw RunError(
                .cannotWrite, "\(folder) cannot be created: \((error as NSError).localizedDescription)",
                remedy: "pass a writable folder with --output")
        }
    }

    /// Handles every image in order; one that cannot be read is named on standard error, and the others go on.
    ///
    /// Returns 65 if there was such an image, else 0. Throws what is no fault of an image.
    func forEach(_ body: (_ place: Int, _ path: String) throws -> Void) throws -> ExitCode {
        var unreadable = 0
        for (place, path) in paths.enumerated() {
            do { try body(place, path) } catch let error as ImagingError where Self.concernsImage(error) {
                unreadable += 1
                Failure.notice("\(error)")
            }
        }
        guard unreadable > 0 else { return .done }
        Failure.notice("\(unreadable) of \(paths.count) images cannot be read")
        return .data
    }

    private static func concernsImage(_ error: ImagingError) -> Bool {
        switch error.code {
        case .unreadable, .overLimit, .notAnImage, .damaged, .unsupported: true
        default: false
        }
    }
}
