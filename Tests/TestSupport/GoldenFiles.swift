public import Foundation
public import Tensors
public import WeightFiles

/// Golden files that depend on one another, such as a model and gradients through it, all read from one folder.
///
/// `KEDGE_GOLDEN_DIR` may hold another model than the bundle's fixtures. Mixing files of both would compare a model
/// with the reference of another, so the chosen folder must hold every requested file.
public struct GoldenFiles: Sendable {
    /// The folder of all the files.
    public let folder: String

    /// Chooses the folder of `KEDGE_GOLDEN_DIR` if it holds all the files, otherwise the fixtures of the test bundle.
    ///
    /// - Parameters:
    ///   - names: The files, with their extensions.
    ///   - given: The folder to try first.
    ///
    /// Throws `GoldenError` if neither holds all of them.
    public init(_ names: [String], in bundle: Bundle, given: String? = Golden.folder) throws {
        let fixtures = bundle.resourceURL?.appendingPathComponent("Fixtures").path ?? "Fixtures"
        let places = [given, fixtures].compactMap { $0 }
        let isWhole = { (place: String) in
            names.allSatisfy { FileManager.default.fileExists(atPath: place + "/" + $0) }
        }
        guard let folder = places.first(where: isWhole) else {
            throw GoldenError(
                "\(places.joined(separator: " and ")): no folder with \(names.joined(separator: ", "))")
        }
        self.folder = folder
    }

    /// Opens one of the files. Throws `WeightFileError` if it is damaged.
    public func table(_ name: String) throws -> TensorTable {
        try SafetensorsFile.read(folder + "/" + name)
    }

    /// The bytes of one of the files. Throws if it cannot be read.
    public func data(_ name: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))
    }
}

/// A fault of golden files; the affected suite fails with this line.
public struct GoldenError: Error, CustomStringConvertible {
    /// The file and its fault.
    public let description: String

    /// Creates an error.
    public init(_ description: String) { self.description = description }
}

extension TensorTable {
    /// The extents of a tensor of a known shape; nil is an extent of any size.
    ///
    /// Throws `GoldenError` if the tensor is missing or has another shape.
    @discardableResult
    public func shape(_ name: String, fitting shape: [Int?]) throws -> [Int] {
        guard let found = self[name]?.shape else { throw GoldenError("\(path): there is no tensor \(name)") }
        guard found.count == shape.count, zip(found, shape).allSatisfy({ $1 == nil || $0 == $1 }) else {
            let expected = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
            throw GoldenError("\(path): \(name) has shape \(found), expected [\(expected)]")
        }
        return found
    }

    /// A tensor of a known shape, so that a mismatched file fails a test instead of trapping in a kernel.
    ///
    /// Throws `GoldenError` as ``shape(_:fitting:)`` does.
    public func tensor(_ name: String, shape: [Int?]) throws -> Tensor {
        try self.shape(name, fitting: shape)
        return try tensor(name)
    }

    /// The only element of a tensor. Throws `WeightFileError` if it is missing, and `GoldenError` if there are more.
    public func number(_ name: String) throws -> Float {
        let tensor = try tensor(name)
        guard tensor.count == 1 else {
            throw GoldenError("\(path): \(name) has shape \(tensor.shape), expected one number")
        }
        return tensor[0]
    }
}
