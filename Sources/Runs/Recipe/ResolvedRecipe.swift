public import AdaptationMethods
import ModelLoading
public import Recipes
import WeightFiles

/// A checked recipe together with the source of each of its values.
public typealias ResolvedRecipe = Resolved<Recipe>

extension Resolved<Recipe> {
    /// Resolves a recipe: defaults, then a file, then `KEDGE_SET`, then `--set`; later sources override earlier ones.
    ///
    /// - Parameters:
    ///   - path: The recipe file, or nil for none.
    ///   - environment: The process environment; only `KEDGE_SET`, written `key=value;key=value`, is read.
    ///   - settings: The `key=value` texts of `--set`, in order.
    ///   - methods: The methods that `method.name` may name.
    /// - Throws: `RecipeError` that lists all faults of all sources.
    public init(
        path: String? = nil, environment: [String: String] = [:], settings: [String] = [],
        methods: MethodRegistry = .known
    ) throws(RecipeError) {
        try self.init(Recipe(methods: methods), path: path, environment: environment, settings: settings)
    }

    /// Resolves recipe text instead of a file. Throws `RecipeError` that lists all faults of all sources.
    public init(
        yaml: String, name: String = "recipe", environment: [String: String] = [:], settings: [String] = [],
        methods: MethodRegistry = .known
    ) throws(RecipeError) {
        try self.init(Recipe(methods: methods), yaml: yaml, name: name, environment: environment, settings: settings)
    }

    /// The recipe as written to a run's folder; it resolves to the same recipe.
    public var fileText: String { "# Resolved recipe; digest \(recipe.digest).\n" + resolvedYAML }
}

extension Recipe {
    /// The keys that affect the trained parameters with their values, `auto` replaced by its meaning.
    var shapingEntries: [(key: String, value: String)] {
        var resolved = self
        resolved.model.preprocessing = .kind(model.resolvedPreprocessing)
        return resolved.resultEntries.map { ($0.key, $0.value.description) }
    }

    /// SHA-256, in hexadecimal, over the keys that affect the trained parameters.
    ///
    /// Paths, names, lengths, logging and thread counts are excluded: a moved or longer run is the same run. The data
    /// and the base weights have digests of their own.
    public var digest: String {
        let digest = SHA256Digest()
        digest.update(Array(shapingEntries.map { "\($0.key): \($0.value)\n" }.joined().utf8))
        return digest.hexadecimal()
    }
}
