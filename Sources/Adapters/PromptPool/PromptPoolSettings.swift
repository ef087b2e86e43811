public import Recipes

/// The sizes of prompts that images choose from, below `promptPool`.
public struct PromptPoolSettings: RecipeSection, Equatable {
    public var count = 40
    public var length = 5
    public var perImage = 5
    public var stages = 8
    public var general = 5
    public var expert = 20

    /// The sizes of CoSAM's released code for L2P, and ours for the others.
    public init() {}

    private static let most = 10_000

    public static let fields: [RecipeField<PromptPoolSettings>] = [
        .integer("count", \.count, 1...most, "Prompts of l2p, components of coda-prompt"),
        .integer("length", \.length, 1...most, "Tokens of a prompt or component"),
        .integer("perImage", \.perImage, 1...most, "Prompts that an image takes, with l2p"),
        .integer("stages", \.stages, 1...most, "The largest number of stages, with dual-prompt and coda-prompt"),
        .integer("general", \.general, 1...most, "Tokens that every image takes, with dual-prompt"),
        .integer("expert", \.expert, 1...most, "Tokens of a stage's prompt, with dual-prompt"),
    ]

    public var faults: [SettingFault] {
        (perImage <= count ? [] : [SettingFault(key: "perImage", rule: "must not exceed count, \(count)")])
            + (stages <= count
                ? [] : [SettingFault(key: "count", rule: "must give each of \(stages) stages a component")])
    }

    /// The form in files: the sizes in the order of the fields.
    var text: String {
        [count, length, perImage, stages, general, expert].map { "\($0)" }.joined(separator: " ")
    }

    /// Reads that form; nil for sizes that a recipe could not have.
    init?(text: String) {
        let numbers = text.split(separator: " ").compactMap { Int($0) }
        guard numbers.count == 6, numbers.allSatisfy({ (1...Self.most).contains($0) }) else { return nil }
        (count, length, perImage) = (numbers[0], numbers[1], numbers[2])
        (stages, general, expert) = (numbers[3], numbers[4], numbers[5])
        guard faults.isEmpty else { return nil }
    }
}
