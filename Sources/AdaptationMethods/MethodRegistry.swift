public import Recipes

/// Methods by name: one line each.
public struct MethodRegistry: Sendable {
    /// The methods, by name.
    let methods: [any AdaptationMethod.Type]

    /// The methods Kedge provides.
    public static let known = MethodRegistry([
        CODAPrompt.self,
        DecoderTuning.self,
        Direct.self,
        DualPrompt.self,
        HQSAM.self,
        InteractiveFineTuning.self,
        L2P.self,
        LowRankTuning.self,
        RefinerTraining.self,
        SAMAdapterTuning.self,
        SelfTraining.self,
        UncertaintyAwareFineTuning.self,
        Supervised.self,
        Tent.self,
        WeSAM.self,
    ])

    /// A registry of some methods.
    public init(_ methods: [any AdaptationMethod.Type]) { self.methods = methods }

    /// The known names, in order.
    public var names: [String] { methods.map { $0.name } }
    /// The method where none is named.
    public static let defaultName = WeSAM.name

    /// Creates a method with its default settings. Throws `AdaptationMethodError`, which names the known methods.
    public func make(_ name: String) throws(AdaptationMethodError) -> any AdaptationMethod {
        guard let method = methods.first(where: { $0.name == name }) else {
            throw AdaptationMethodError(
                .unknownMethod, "method.name = \(name): no such method; choose one of: \(names.joined(separator: ", "))"
            )
        }
        return Self.make(method, Self.defaults(of: method))
    }

    /// The default settings of a method.
    static func defaults<Method: AdaptationMethod>(of method: Method.Type) -> any RecipeSection { Method.Settings() }

    /// A method with the given settings, which are of its own type.
    static func make<Method: AdaptationMethod>(_ method: Method.Type, _ settings: any RecipeSection)
        -> any AdaptationMethod
    {
        guard let own = settings as? Method.Settings else {
            preconditionFailure("settings of another method for \(Method.name)")
        }
        return Method(own)
    }
}

/// The section `method` of a recipe: the method's name and, of all methods' settings, only its own.
public struct MethodSection: RecipeVariants {
    private let registry: MethodRegistry
    private var type: any AdaptationMethod.Type
    private var settings: any RecipeSection

    /// The first of some methods that has the default's name, else the first at all, with its default settings.
    public init(_ registry: MethodRegistry = .known) {
        self.registry = registry
        let chosen = registry.methods.first { $0.name == MethodRegistry.defaultName } ?? registry.methods[0]
        (type, settings) = (chosen, MethodRegistry.defaults(of: chosen))
    }

    /// The name of the chosen method.
    public var name: String { type.name }

    /// The method with its settings.
    public var method: any AdaptationMethod {
        let type = type
        return MethodRegistry.make(type, settings)
    }

    private var nameRow: RecipeRow {
        RecipeRow(name: "name", rule: .choice(registry.names), doc: "Adaptation method", effect: .result)
    }

    public var selector: String? { "name" }
    public var chosen: String { name }
    public var rows: [RecipeRow] { [nameRow] + settings.rows }
    public var faults: [SettingFault] { settings.faults }

    public func value(row: Int) -> RecipeValue { row == 0 ? .word(name) : settings.value(row: row - 1) }

    public mutating func set(row: Int, to value: RecipeValue) {
        guard row == 0 else { return settings.set(row: row - 1, to: value) }
        guard case .word(let name) = value, name != self.name,
            let type = registry.methods.first(where: { $0.name == name })
        else { return }
        self.type = type
        settings = MethodRegistry.defaults(of: type)
    }

    public var variants: [(name: String, rows: [RecipeRow], defaults: [RecipeValue])] {
        registry.methods.map { method in
            let settings = MethodRegistry.defaults(of: method)
            return (method.name, settings.rows, settings.rows.indices.map { settings.value(row: $0) })
        }
    }
}

extension MethodSection: Equatable {
    /// Whether both choose the same method with the same settings.
    public static func == (left: MethodSection, right: MethodSection) -> Bool {
        left.name == right.name
            && left.rows.indices.allSatisfy { left.value(row: $0) == right.value(row: $0) }
    }
}
