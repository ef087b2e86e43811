import Datasets
import Foundation
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The noisy mask prompts of SUM's HQ variant (`sum.safetensors`).
@Suite struct GoldenNoisyPromptTests {
    @Test func promptsOfGivenNoise() throws {
        let table = try Golden.open("sum", in: Bundle.module)
        let labels = try table.tensor("noise.in.label")
        let (normal, expected) = (
            try table.tensor("noise.in.normal").elements, try table.tensor("noise.out.prompt").elements
        )
        let (height, width) = (labels.shape[2], labels.shape[3])
        for mask in 0..<labels.shape[0] {
            let own = mask * height * width..<(mask + 1) * height * width
            let label = GreyMask(width: width, height: height, values: labels.elements[own].map { $0 * 255 })
            let prompt = label.noisyPrompt(Array(normal[own])).values
            #expect(prompt == Array(expected[own]), "mask \(mask)")
            #expect(Set(prompt) == [0, 255])
        }
    }
}
