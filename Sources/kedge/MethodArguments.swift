import AdaptationMethods
import ArgumentParser
import SegmentAnything
import Recipes
import Runs

/// The method of a step that is planned or measured, and its settings.
struct MethodArguments: ParsableArguments {
    @Option(name: .customLong("method"), help: "The method of the step, named as in recipes.")
    var name = MethodRegistry.defaultName

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp(
            "A key of the step's method, as in method.trains=decoder; repeatable.", valueName: "key=value"))
    var settings: [String] = []

    func validate() throws {
        guard settings.allSatisfy({ $0.hasPrefix("method.") }) else {
            throw ValidationError("--set takes keys below method alone")
        }
    }

    /// The method with its own settings but for those asked for.
    ///
    /// - Parameter further: Settings that other arguments stand for.
    func chosen(for model: BaseModel, _ further: [String] = []) throws -> any AdaptationMethod {
        let own = settings + further
        let plain = try MethodRegistry.known.make(name)
        guard !own.isEmpty else { return plain }
        // A recipe that fits the method: it is not run.
        let data =
            plain.pseudoMasks == nil
            ? ["data.root=."]
            : ["data.sources.a.root=.", "data.sources.b.root=.", "data.sources.b.supervision=none", "data.flips=none"]
        return try ResolvedRecipe(
            settings: data + ["model.kind=\(model.rawValue)", "method.name=\(name)"] + own
        ).recipe.method.method
    }
}
