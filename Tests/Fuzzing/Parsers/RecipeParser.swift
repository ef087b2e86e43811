import Recipes
import Runs

extension FuzzedParser {
    static let recipe = FuzzedParser(
        "recipe",
        words: Recipe().entries.map { $0.key.row.name + ": " } + [
            "&a", "*a", "<<: ", "---\n", "...\n", "!!binary ", "? ", "\t", "\u{feff}", "\u{85}", "\u{2028}", "- ", "[",
            "]", "{", "}",
            "|\n", ">-\n", "\"\\x00\"", "%YAML 1.1\n", "#",
        ],
        written: {
            let yaml = "data:\n  root: cells\nmodel:\n  weights: w.pth\n"
            return [Array(yaml.utf8), Array(try ResolvedRecipe(yaml: yaml).resolvedYAML.utf8.prefix(4096))]
        }, change: TextLines.change
    ) { bytes in
        guard let yaml = String(validating: bytes, as: UTF8.self) else { return false }
        let resolved: ResolvedRecipe
        do throws(RecipeError) { resolved = try ResolvedRecipe(yaml: yaml) } catch {
            try require(!error.faults.isEmpty, "an error without a fault")
            for fault in error.faults {
                let text = fault.description
                let isPlain = !text.isEmpty && !text.unicodeScalars.contains { $0.value < 0x20 }
                try require(isPlain, "a fault that is not one plain line: \(text.debugDescription)")
            }
            return false
        }
        try require(resolved.recipe.validate().isEmpty, "an accepted recipe with faults")
        // The recipe written to a run's folder is the same recipe.
        let again: ResolvedRecipe
        do throws(RecipeError) { again = try ResolvedRecipe(yaml: resolved.resolvedYAML) } catch {
            throw FuzzFinding("the resolved recipe is refused: \(error)")
        }
        try require(again.recipe == resolved.recipe, "another recipe after resolving")
        return true
    }
}
