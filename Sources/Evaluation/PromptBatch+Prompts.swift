package import Datasets
package import SegmentAnything
import Tensors

extension PromptBatch {
    /// Converts some instances' prompts from the data set's form to the model's.
    package init(_ prompts: Prompts, _ range: Range<Int>) throws {
        let labels = prompts.pointLabels?.rows(range).elements.map { PointLabel(rawValue: Int($0)) ?? .padding }
        try self.init(
            boxes: prompts.boxes?.rows(range), points: prompts.points?.rows(range), labels: labels ?? [],
            masks: prompts.masks?.rows(range))
    }
}
