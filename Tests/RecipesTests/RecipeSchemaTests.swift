import Recipes
import Testing

/// The machinery of recipes over a small recipe: choices, named sections, keys that moved, faults of all sources at once.
@Suite struct RecipeSchemaTests {
    private struct Engine: RecipeSection {
        var power = 1.0
        var fuel = Fuel.none

        enum Fuel: String, CaseIterable { case none, coal, oil }

        static let fields: [RecipeField<Engine>] = [
            .number("power", \.power, 0...10, "Power"), .choice("fuel", \.fuel, effect: .machine, "Fuel"),
        ]
        var faults: [SettingFault] {
            power > 5 && fuel == .none ? [SettingFault(key: "fuel", rule: "is needed above 5")] : []
        }
    }

    private struct Ship: RecipeSection {
        var engine = Engine()
        var name: String?

        static let fields: [RecipeField<Ship>] =
            Engine.fields.map { $0.within(\.engine) } + [.optionalText("name", \.name, "Name")]
        var faults: [SettingFault] { engine.faults }
    }

    /// A section whose rows depend on its kind.
    private struct Cargo: RecipeVariants, Equatable {
        var kind = "none"
        var weight = 1

        static let all = ["none": [], "box": [weightRow]]
        static let weightRow = RecipeRow(name: "weight", rule: .integer(1...9), doc: "Weight", effect: .result)
        var selector: String? { "kind" }
        var chosen: String { kind }
        var rows: [RecipeRow] {
            [RecipeRow(name: "kind", rule: .choice(["none", "box"]), doc: "Kind", effect: .result)]
                + (kind == "box" ? [Self.weightRow] : [])
        }
        var variants: [(name: String, rows: [RecipeRow], defaults: [RecipeValue])] {
            [("none", [], []), ("box", [Self.weightRow], [.integer(1)])]
        }
        func value(row: Int) -> RecipeValue { row == 0 ? .word(kind) : .integer(weight) }
        mutating func set(row: Int, to value: RecipeValue) {
            switch value {
            case .word(let word): kind = word
            case .integer(let integer): weight = integer
            default: Issue.record("\(value)")
            }
        }
    }

    private struct Harbour: RecipeRoot {
        var ship = Ship()
        var ships: [NamedSection<Ship>] = []
        var cargo = Cargo()

        static let schema = RecipeSchema<Harbour>(
            [
                .section("ship", \.ship, "A ship."),
                .named("ship.fleet", \.ships, template: \.ship, "More ships."),
                .section("cargo", \.cargo, "The cargo."),
            ], moved: [("sail", "ship.power")])
        var faults: [SettingFault] {
            ships.count > 3 ? [SettingFault(key: "ship.name", rule: "has too large a fleet")] : []
        }
    }

    private func resolve(_ yaml: String, _ settings: [String] = []) throws -> Resolved<Harbour> {
        try Resolved(Harbour(), yaml: yaml, name: "h.yaml", settings: settings)
    }

    private func faults(_ yaml: String, _ settings: [String] = []) -> [String] {
        do {
            _ = try resolve(yaml, settings)
            return []
        } catch let error as RecipeError {
            return error.faults.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func namedSectionsBeginAsCopiesOfTheirTemplateInTheOrderOfTheirMention() throws {
        let yaml = "ship:\n  fleet:\n    b:\n      power: 3\n    a: {name: anna}\n  fuel: oil\n"
        let resolved = try resolve(yaml, ["ship.fleet.c.power=2", "ship.fleet.b.name=berta"])
        let ships = resolved.recipe.ships
        #expect(ships.map(\.name) == ["b", "a", "c"])
        #expect(ships.map(\.settings.engine.fuel) == [.oil, .oil, .oil])
        #expect(ships.map(\.settings.engine.power) == [3, 1, 2])
        #expect(ships.map(\.settings.name) == ["berta", "anna", nil])
        #expect(resolved.sources["ship.fleet.b.power"] == .file("h.yaml", line: 4))
        #expect(resolved.sources["ship.fleet.a.power"] == .defaults)
    }

    @Test func whatIsResolvedResolvesToItself() throws {
        let first = try resolve("cargo: {kind: box, weight: 4}\nship: {fleet: {x: {power: 2}, y: {fuel: coal}}}\n")
        let second = try resolve(first.resolvedYAML)
        #expect(first.recipe == second.recipe)
        #expect(first.entries.map(\.key).contains("ship.fleet.y.fuel"))
        #expect(second.resolvedYAML.contains("    fleet:\n        x:\n            power: 2"))
    }

    @Test func choicesDecideWhichKeysThereAre() throws {
        // The choice counts wherever it stands.
        let box = try resolve("cargo:\n  weight: 3\n", ["cargo.kind=box"]).recipe
        #expect(box.cargo == Cargo(kind: "box", weight: 3))
        #expect(
            faults("cargo:\n  weight: 3\n") == [
                "h.yaml:2: cargo.weight: is a setting of box, not of none; remove it"
            ])
        #expect(box.entries.map(\.key.key).last == "cargo.weight")
    }

    @Test func movedKeysAreRefusedWithTheirNewName() {
        #expect(faults("sail: 3\n") == ["h.yaml:1: sail: was renamed to ship.power"])
        #expect(faults("", ["sail=3"]) == ["--set: sail: was renamed to ship.power"])
    }

    @Test func faultsComeInTheOrderOfTheirSourcesAndRulesAfterThem() {
        let found = faults(
            "ship:\n  fleet:\n    a: {power: x}\n    b: {colour: red}\n  power: 11\ncargo: 3\n", ["ship.fuel=gas"])
        #expect(
            found == [
                "h.yaml:6: cargo: is a section; write its keys below it, indented",
                "h.yaml:3: ship.fleet.a.power = x: must be number 0 to 10",
                "h.yaml:4: ship.fleet.b.colour: unknown key; the nearest known key is ship.power",
                "--set: ship.fuel = gas: must be none | coal | oil",
                "h.yaml:5: ship.power = 11: must be number 0 to 10",
                "default: ship.fleet.a.fuel = none: is needed above 5",
            ])
        #expect(
            faults("ship: {fleet: {a: {power: 6}}}\n") == [
                "default: ship.fleet.a.fuel = none: is needed above 5"
            ])
        #expect(faults("", ["ship.fleet.a b.power=1"]).first?.contains("unknown key") == true)
        #expect(
            faults("ship: {fleet: {a: {power: 1}, b: {power: 1}, c: {power: 1}, d: {power: 1}}}\n") == [
                "default: ship.name = none: has too large a fleet"
            ])
    }

    /// A section that the user named and left empty is not passed over.
    @Test func emptyNamedSectionsAreFaults() {
        for empty in ["a:", "a: {}"] {
            #expect(
                faults("ship:\n  fleet:\n    b: {power: 1}\n    \(empty)\n") == [
                    "h.yaml:4: ship.fleet.a: has no keys; write them below it, indented, or remove it"
                ])
        }
        #expect(faults("ship:\n  fleet:\ncargo:\n").isEmpty)
    }

    @Test func effectsAreThoseOfTheTables() throws {
        let recipe = try resolve("cargo: {kind: box}\n").recipe
        #expect(recipe.resultEntries.map(\.key) == ["ship.power", "ship.name", "cargo.kind", "cargo.weight"])
        #expect(recipe.value(of: "ship.fuel") == .word("none"))
        #expect(recipe.value(of: "ship.colour") == nil)
    }

    @Test func theReferenceNamesEveryKeyAndVariant() throws {
        let text = Harbour().referenceYAML
        for part in ["ship:", "# fleet:", "NAME:", "# With kind: box", "weight: 1"] {
            #expect(text.contains(part), "\(part)")
        }
        #expect(try resolve(text).recipe == Harbour())
        #expect(Harbour().helpText.contains("ship.fleet.NAME.KEY"))
    }
}
