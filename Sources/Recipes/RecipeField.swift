/// One row of a settings type's table: name, rule, meaning, and the path to the property.
public struct RecipeField<Section>: Sendable {
    /// A key path that may be sent across threads.
    public typealias Path<Value> = any WritableKeyPath<Section, Value> & Sendable

    /// The row without the section's type.
    public let row: RecipeRow
    /// The field's value.
    let value: @Sendable (Section) -> RecipeValue
    /// Sets the field to a value parsed by the rule.
    let write: @Sendable (inout Section, RecipeValue) -> Void

    private init(
        _ name: String, _ rule: RecipeRule, _ effect: RecipeEffect, _ doc: String,
        value: @escaping @Sendable (Section) -> RecipeValue,
        write: @escaping @Sendable (inout Section, RecipeValue) -> Void
    ) {
        row = RecipeRow(name: name, rule: rule, doc: doc, effect: effect)
        (self.value, self.write) = (value, write)
    }

    /// The same row in a section that contains this one.
    public func within<Whole>(_ part: any WritableKeyPath<Whole, Section> & Sendable) -> RecipeField<Whole> {
        RecipeField<Whole>(row.name, row.rule, row.effect, row.doc) { [value] in
            value($0[keyPath: part])
        } write: { [write] whole, value in
            write(&whole[keyPath: part], value)
        }
    }

    private static func mismatch(_ name: String, _ value: RecipeValue) {
        preconditionFailure("the rule of \(name) accepted \(value), which its field cannot hold")
    }
}

// MARK: - One factory per type of property

extension RecipeField {
    /// A text, by default unrestricted.
    public static func text(
        _ name: String, _ path: Path<String>, rule: RecipeRule = .text, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField {
        RecipeField(name, rule, effect, doc) {
            .text($0[keyPath: path])
        } write: { section, value in
            guard case .text(let text) = value else { return mismatch(name, value) }
            section[keyPath: path] = text
        }
    }

    /// A text, or `none` for nil.
    public static func optionalText(
        _ name: String, _ path: Path<String?>, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField {
        RecipeField(name, .optionalText, effect, doc) {
            $0[keyPath: path].map(RecipeValue.text) ?? RecipeValue.none
        } write: { section, value in
            switch value {
            case .none: section[keyPath: path] = nil
            case .text(let text): section[keyPath: path] = text
            default: mismatch(name, value)
            }
        }
    }

    /// One case of an enumeration.
    public static func choice<Choice>(
        _ name: String, _ path: Path<Choice>, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField where Choice: CaseIterable & RawRepresentable<String> & Sendable {
        parsed(name, path, rule: .choice(Choice.allCases.map(\.rawValue)), effect: effect, doc)
    }

    /// A text with its own grammar, parsed and printed by the type; `rule` describes it.
    public static func parsed<Value>(
        _ name: String, _ path: Path<Value>, rule: RecipeRule, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField where Value: RawRepresentable<String> & Sendable {
        RecipeField(name, rule, effect, doc) {
            .word($0[keyPath: path].rawValue)
        } write: { section, value in
            guard case .word(let text) = value, let parsed = Value(rawValue: text) else { return mismatch(name, value) }
            section[keyPath: path] = parsed
        }
    }

    /// Several cases of an enumeration, each at most once.
    public static func choices<Choice>(
        _ name: String, _ path: Path<[Choice]>, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField where Choice: CaseIterable & RawRepresentable<String> & Sendable {
        RecipeField(name, .choices(Choice.allCases.map(\.rawValue)), effect, doc) {
            .texts($0[keyPath: path].map(\.rawValue))
        } write: { section, value in
            guard case .texts(let texts) = value else { return mismatch(name, value) }
            section[keyPath: path] = texts.compactMap(Choice.init(rawValue:))
        }
    }

    /// A whole number.
    public static func integer(
        _ name: String, _ path: Path<Int>, _ range: ClosedRange<Int>, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField {
        RecipeField(name, .integer(range), effect, doc) {
            .integer($0[keyPath: path])
        } write: { section, value in
            guard case .integer(let integer) = value else { return mismatch(name, value) }
            section[keyPath: path] = integer
        }
    }

    /// A whole number, or `none` for nil.
    public static func optionalInteger(
        _ name: String, _ path: Path<Int?>, _ range: ClosedRange<Int>, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField {
        RecipeField(name, .optionalInteger(range), effect, doc) {
            $0[keyPath: path].map(RecipeValue.integer) ?? RecipeValue.none
        } write: { section, value in
            switch value {
            case .none: section[keyPath: path] = nil
            case .integer(let integer): section[keyPath: path] = integer
            default: mismatch(name, value)
            }
        }
    }

    /// Ascending whole numbers.
    public static func integers(
        _ name: String, _ path: Path<[Int]>, _ range: ClosedRange<Int>, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField {
        RecipeField(name, .integers(range), effect, doc) {
            .integers($0[keyPath: path])
        } write: { section, value in
            guard case .integers(let integers) = value else { return mismatch(name, value) }
            section[keyPath: path] = integers
        }
    }

    /// A number within inclusive bounds.
    public static func number(
        _ name: String, _ path: Path<Double>, _ range: ClosedRange<Double>, effect: RecipeEffect = .result,
        _ doc: String
    ) -> RecipeField {
        number(
            name, path, rule: .number(from: range.lowerBound, to: range.upperBound, isOpen: false), effect: effect, doc)
    }

    /// A finite number above an exclusive bound.
    public static func number(
        _ name: String, _ path: Path<Double>, above bound: Double, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField {
        number(name, path, rule: .number(from: bound, to: .infinity, isOpen: true), effect: effect, doc)
    }

    private static func number(
        _ name: String, _ path: Path<Double>, rule: RecipeRule, effect: RecipeEffect, _ doc: String
    ) -> RecipeField {
        RecipeField(name, rule, effect, doc) {
            .number($0[keyPath: path])
        } write: { section, value in
            guard case .number(let number) = value else { return mismatch(name, value) }
            section[keyPath: path] = number
        }
    }

    /// `true` or `false`.
    public static func flag(
        _ name: String, _ path: Path<Bool>, effect: RecipeEffect = .result, _ doc: String
    ) -> RecipeField {
        RecipeField(name, .flag, effect, doc) {
            .flag($0[keyPath: path])
        } write: { section, value in
            guard case .flag(let flag) = value else { return mismatch(name, value) }
            section[keyPath: path] = flag
        }
    }
}
