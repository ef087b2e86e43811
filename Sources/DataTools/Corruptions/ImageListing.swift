import Datasets
import Foundation

/// The image files of a folder and its subfolders.
package enum ImageListing {
    private static let extensions: Set<String> = ["png", "jpg", "jpeg"]

    /// Whether a file can be read, by its name.
    package static func isRead(_ name: String) -> Bool {
        extensions.contains((name as NSString).pathExtension.lowercased())
    }

    /// Paths below `folder` of all visible PNG and JPEG files, compared by Unicode scalars.
    ///
    /// - Parameter isImage: Chooses other files by their names.
    /// - Throws: `DatasetError` if the folder cannot be listed.
    package static func imageFiles(in folder: String, where isImage: (String) -> Bool = Self.isRead) throws -> [String]
    {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw DatasetError(
                .missingFolder, at: folder, "cannot be listed", remedy: "check the path and its permissions")
        }
        var files: [String] = []
        for name in names where !name.hasPrefix(".") {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: folder + "/" + name, isDirectory: &isFolder) else { continue }
            if isFolder.boolValue {
                // A link to a folder may lead back up, so only real folders are entered.
                if (try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + name)) != nil { continue }
                files += try imageFiles(in: folder + "/" + name, where: isImage).map { name + "/" + $0 }
            } else if isImage(name) {
                files.append(name)
            }
        }
        return files.sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
    }
}
