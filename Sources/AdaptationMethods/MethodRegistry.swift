/// The source of a method's own settings, by their names in recipes; nil for those that are not set.
public protocol MethodSettingsSource {
    /// A number, as in `focalWeight`.
    func number(_ key: String) -> Double?
    /// A whole number, as in `patchSide`.
    func integer(_ key: String) -> Int?
    /// A word, as in `lossForm`.
    func text(_ key: String) -> String?
}

/// A source without settings: every method uses its defaults.
public struct DefaultMethodSettings: MethodSettingsSource {
    /// Creates the source.
    public init() {}
    /// Nil.
    public func number(_ key: String) -> Double? { nil }
    /// Nil.
    public func integer(_ key: String) -> Int? { nil }
    /// Nil.
    public func text(_ key: String) -> String? { nil }
}

/// Methods by name: one line each.
public struct MethodRegistry: Sendable {
    /// Creates a method with the settings of a source.
    public typealias Make = @Sendable (any MethodSettingsSource) -> any AdaptationMethod

    private let methods: [(name: String, make: Make)]

    /// The methods Kedge provides.
    public static let known = MethodRegistry([
        ("direct", { _ in Direct() }),
        ("self-training", { SelfTraining(.init($0)) }),
        ("supervised", { Supervised(.init($0)) }),
        ("tent", { _ in Tent() }),
        ("wesam", { WeSAM(.init($0)) }),
    ])

    /// Creates a registry of methods.
    public init(_ methods: [(name: String, make: Make)]) { self.methods = methods }

    /// The known names, in order.
    public var names: [String] { methods.map(\.name) }
    /// The method of a recipe that does not name one.
    public static let defaultName = "wesam"

    /// Creates a method, which reads its own settings from the source and no others.
    ///
    /// Throws `AdaptationMethodError`, which lists the known methods.
    public func make(
        _ name: String, _ settings: any MethodSettingsSource = DefaultMethodSettings()
    ) throws(AdaptationMethodError) -> any AdaptationMethod {
        guard let method = methods.first(where: { $0.name == name }) else {
            throw AdaptationMethodError(
                .unknownMethod, "method.name = \(name): no such method; choose one of: \(names.joined(separator: ", "))"
            )
        }
        return method.make(settings)
    }
}
