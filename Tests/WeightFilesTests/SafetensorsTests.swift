import Tensors
import Testing
import WeightFiles

@Suite struct SafetensorsTests {
    @Test func readsWhatItWrote() throws {
        let tensor = Tensor([1, 2, 3, 4, 5, 6], [2, 3])
        let table = try SafetensorsFile.read(bytes: SafetensorsFile.encode([TensorToWrite("a", tensor)]))
        #expect(try table.tensor("a").elements == tensor.elements)
    }
}
