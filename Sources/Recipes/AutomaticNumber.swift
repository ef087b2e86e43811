/// A number that a recipe may state.
public protocol AutomaticValue: Comparable, Sendable {
    /// Reads the text of a recipe; nil if it is not a finite number of this type.
    init?(recipeText: String)
    /// The text of a recipe.
    var recipeText: String { get }
}

extension Int: AutomaticValue {
    public init?(recipeText: String) { self.init(recipeText) }
    public var recipeText: String { RecipeValue.integer(self).description }
}

extension Double: AutomaticValue {
    public init?(recipeText: String) {
        guard let number = Double(recipeText), number.isFinite else { return nil }
        self = number
    }
    public var recipeText: String { RecipeValue.number(self).description }
}

/// A number, or `auto` for one that follows from the rest of the run.
public enum AutomaticNumber<Value: AutomaticValue>: Equatable, Sendable {
    case auto
    case value(Value)

    /// The number; nil for `auto`.
    public var value: Value? {
        guard case .value(let value) = self else { return nil }
        return value
    }
}

extension AutomaticNumber: RawRepresentable {
    /// Reads `auto` or a number; nil for other text.
    public init?(rawValue text: String) {
        if text == "auto" {
            self = .auto
        } else if let value = Value(recipeText: text) {
            self = .value(value)
        } else {
            return nil
        }
    }

    /// The text of the recipe.
    public var rawValue: String { value?.recipeText ?? "auto" }
}
