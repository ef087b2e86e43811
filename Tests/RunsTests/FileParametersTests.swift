import Foundation
import Layers
import ModelLoading
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Weights that are read from a large file while the node's block is filled.
@Suite struct FileParametersTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder("weights") }

    private func parameters(cutting length: Int? = nil) throws -> (FileParameters, path: String) {
        let path = folder.path + "/large.safetensors"
        _ = try SafetensorsFile.write(
            [TensorToWrite("a", Tensor([1, 2, 3], [3])), TensorToWrite("b", Tensor([4, 5], [1, 2]))], to: path)
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1e9)], ofItemAtPath: path)
        let table = try SafetensorsFile.table(of: FileBytes(path: path, keptUpTo: 0))
        if let length { truncate(path, off_t(length)) }
        return (FileParameters(table), path)
    }

    @Test func tensorsAreThoseOfTheFile() throws {
        let (parameters, _) = try parameters()
        #expect(parameters.tensor("a", [3]).elements == [1, 2, 3])
        #expect(parameters.tensor("b", [2, 1]).elements == [4, 5])
        try parameters.finish()
    }

    @Test func aCutFileIsAnErrorAtTheEnd() throws {
        let (parameters, path) = try parameters(cutting: 100)
        #expect(parameters.tensor("b", [2, 1]).elements == [0, 0])
        let error = #expect(throws: WeightFileError.self) { try parameters.finish() }
        #expect(error?.rule == .unchanged && error?.path == path)
    }

    @Test func aFileWrittenToAfterTheLastTensorIsAnErrorToo() throws {
        let (parameters, path) = try parameters()
        _ = parameters.tensor("a", [3])
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.write(contentsOf: Data([8]))
        #expect(throws: WeightFileError.self) { try parameters.finish() }
    }
}
