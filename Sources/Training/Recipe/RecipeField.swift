/// One row of the recipe reference: a key, its rule, its doc line, and the way to the field in ``Recipe``.
public struct RecipeField: Sendable {
    /// Dotted path of the field, for example `training.globalBatch`.
    public let key: String
    /// Type and allowed values.
    public let rule: RecipeRule
    /// What the field means, in one line.
    public let doc: String
    /// Whether two runs that differ here may learn different adapters; such keys make up ``Recipe/digest``.
    public let shapesResult: Bool

    /// The field's value in a recipe.
    public let value: @Sendable (Recipe) -> RecipeValue
    /// Puts a value that the rule has read into a recipe.
    let write: @Sendable (inout Recipe, RecipeValue) -> Void

    /// The value a recipe has when nothing sets the field.
    public var defaultValue: RecipeValue { value(Recipe()) }

    /// The part of the key before the last dot, or nothing at the top level.
    package var section: String { key.lastIndex(of: ".").map { String(key[..<$0]) } ?? "" }
    /// The part of the key behind the last dot.
    package var name: String { key.split(separator: ".").last.map(String.init) ?? key }
}

extension RecipeField {
    typealias Path<Value> = any WritableKeyPath<Recipe, Value> & Sendable

    private init(
        _ key: String, _ rule: RecipeRule, _ doc: String, _ shapesResult: Bool,
        value: @escaping @Sendable (Recipe) -> RecipeValue,
        write: @escaping @Sendable (inout Recipe, RecipeValue) -> Void
    ) {
        self.init(key: key, rule: rule, doc: doc, shapesResult: shapesResult, value: value, write: write)
    }

    static func text(
        _ key: String, _ path: Path<String>, rule: RecipeRule = .text, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField {
        RecipeField(key, rule, doc, shapesResult) {
            .text($0[keyPath: path])
        } write: { recipe, value in
            guard case .text(let text) = value else { return mismatch(key, value) }
            recipe[keyPath: path] = text
        }
    }

    static func optionalText(
        _ key: String, _ path: Path<String?>, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField {
        RecipeField(key, .optionalText, doc, shapesResult) {
            $0[keyPath: path].map(RecipeValue.text) ?? RecipeValue.none
        } write: { recipe, value in
            switch value {
            case .none: recipe[keyPath: path] = nil
            case .text(let text): recipe[keyPath: path] = text
            default: mismatch(key, value)
            }
        }
    }

    static func choice<Choice>(
        _ key: String, _ path: Path<Choice>, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField where Choice: CaseIterable & RawRepresentable<String> & Sendable {
        RecipeField(key, .choice(Choice.allCases.map(\.rawValue)), doc, shapesResult) {
            .text($0[keyPath: path].rawValue)
        } write: { recipe, value in
            guard case .text(let text) = value, let choice = Choice(rawValue: text) else { return mismatch(key, value) }
            recipe[keyPath: path] = choice
        }
    }

    static func choices<Choice>(
        _ key: String, _ path: Path<[Choice]>, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField where Choice: CaseIterable & RawRepresentable<String> & Sendable {
        RecipeField(key, .choices(Choice.allCases.map(\.rawValue)), doc, shapesResult) {
            .texts($0[keyPath: path].map(\.rawValue))
        } write: { recipe, value in
            guard case .texts(let texts) = value else { return mismatch(key, value) }
            recipe[keyPath: path] = texts.compactMap(Choice.init(rawValue:))
        }
    }

    static func integer(
        _ key: String, _ path: Path<Int>, _ range: ClosedRange<Int>, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField {
        RecipeField(key, .integer(range), doc, shapesResult) {
            .integer($0[keyPath: path])
        } write: { recipe, value in
            guard case .integer(let integer) = value else { return mismatch(key, value) }
            recipe[keyPath: path] = integer
        }
    }

    static func optionalInteger(
        _ key: String, _ path: Path<Int?>, _ range: ClosedRange<Int>, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField {
        RecipeField(key, .optionalInteger(range), doc, shapesResult) {
            $0[keyPath: path].map(RecipeValue.integer) ?? RecipeValue.none
        } write: { recipe, value in
            switch value {
            case .none: recipe[keyPath: path] = nil
            case .integer(let integer): recipe[keyPath: path] = integer
            default: mismatch(key, value)
            }
        }
    }

    static func integers(
        _ key: String, _ path: Path<[Int]>, _ range: ClosedRange<Int>, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField {
        RecipeField(key, .integers(range), doc, shapesResult) {
            .integers($0[keyPath: path])
        } write: { recipe, value in
            guard case .integers(let integers) = value else { return mismatch(key, value) }
            recipe[keyPath: path] = integers
        }
    }

    static func number(
        _ key: String, _ path: Path<Double>, _ rule: RecipeRule, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField {
        RecipeField(key, rule, doc, shapesResult) {
            .number($0[keyPath: path])
        } write: { recipe, value in
            guard case .number(let number) = value else { return mismatch(key, value) }
            recipe[keyPath: path] = number
        }
    }

    static func flag(
        _ key: String, _ path: Path<Bool>, shapesResult: Bool = true, _ doc: String
    ) -> RecipeField {
        RecipeField(key, .flag, doc, shapesResult) {
            .flag($0[keyPath: path])
        } write: { recipe, value in
            guard case .flag(let flag) = value else { return mismatch(key, value) }
            recipe[keyPath: path] = flag
        }
    }

    static func split(_ key: String, _ path: Path<String>, _ doc: String) -> RecipeField {
        RecipeField(key, .split, doc, true) {
            $0[keyPath: path] == "none" ? RecipeValue.none : .text($0[keyPath: path])
        } write: { recipe, value in
            switch value {
            case .none: recipe[keyPath: path] = "none"
            case .text(let text): recipe[keyPath: path] = text
            default: mismatch(key, value)
            }
        }
    }

    private static func mismatch(_ key: String, _ value: RecipeValue) {
        preconditionFailure("the rule of \(key) let \(value) through, which its field cannot hold")
    }
}
