public import Recipes

/// Which rank computes which image of a batch.
public struct SamplerSettings: RecipeSection {
    public var locality = Locality.node

    /// Images stay on their node.
    public init() {}

    /// Whether images stay on their node.
    public enum Locality: String, CaseIterable, Sendable {
        case node, none
    }

    public static let fields: [RecipeField<SamplerSettings>] = [
        .choice(
            "locality", \.locality, effect: .machine,
            "node deals an image to the same node in every epoch, as far as equal shares allow; none deals by place")
    ]
}
