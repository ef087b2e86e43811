import ArgumentParser
import Imaging

/// `--intensity` of the commands that read images without a recipe.
enum IntensityArgument {
    /// The rules, for help texts.
    static let names = Intensity.Rule.allCases.map(\.rawValue).joined(separator: ", ")

    /// Reads a rule. Throws `ValidationError`.
    static func parse(_ text: String) throws -> Intensity.Rule {
        guard let rule = Intensity.Rule(rawValue: text) else {
            throw ValidationError("'\(text)' is none of \(names)")
        }
        return rule
    }
}
