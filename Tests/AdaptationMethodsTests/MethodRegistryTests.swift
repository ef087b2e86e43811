import AdaptationMethods
import Recipes
import Testing

@Suite struct MethodRegistryTests {
    private func section(_ name: String, _ values: [String: RecipeValue] = [:]) -> MethodSection {
        var section = MethodSection()
        section.set(row: 0, to: .word(name))
        for (row, value) in section.rows.enumerated().compactMap({ row, entry in values[entry.name].map { (row, $0) } })
        {
            section.set(row: row, to: value)
        }
        return section
    }

    @Test func everyNameGivesAMethod() throws {
        #expect(MethodRegistry.known.names == MethodRegistry.known.names.sorted())
        for name in MethodRegistry.known.names {
            let method = try MethodRegistry.known.make(name)
            #expect(type(of: method).name == name)
            #expect(method.lossNames.isEmpty == !method.trains)
            let isJittered = ![
                "direct", "interactive", "refiner", "self-training", "sum", "supervised", "tent", "wesam",
            ].contains(name)
            let masked = ["interactive", "refiner", "sum", "supervised"]
            var needs = ExampleNeeds(
                anchor: ["refiner", "wesam"].contains(name), masks: masked.contains(name) || isJittered,
                view: isJittered ? .jittered : .weakAndStrong)
            needs.task = ["interactive", "sum"].contains(name)
            needs.maps = name == "sum"
            #expect(method.needs == needs)
            #expect((method.pseudoMasks != nil) == (name == "sum"))
            // Those that train prompts have no former masks of the same prompts to compare with.
            #expect(method.distils == (isJittered && !["l2p", "dual-prompt", "coda-prompt"].contains(name)))
            #expect(section(name).faults.isEmpty)
            #expect(section(name).name == name)
        }
        #expect(MethodSection().name == "wesam")
    }

    /// A section has its own method's keys and nobody else's, and they reach the method.
    @Test func settingsReachTheirMethodAlone() throws {
        let losses = ["lossForm", "focalWeight", "diceWeight", "iouWeight"]
        let masking = ["maskRatio", "maskBlock"]
        let rounds = ["trains", "adapterRate", "rounds", "layerDecay", "focalWeight", "diceWeight", "iouWeight"]
        let points = ["pointCount", "crossEntropyWeight", "diceWeight"]
        let own: [String: [String]] = [
            "hq-sam": points, "decoder-tuning": points, "lora": points, "sam-adapter": points,
            "l2p": points + ["keyWeight"], "dual-prompt": points + ["keyWeight"],
            "coda-prompt": points + ["orthogonalityWeight"],
            "interactive": rounds, "refiner": ["minimumIoU", "filters", "focalWeight", "diceWeight", "iouWeight"],
            "sum": rounds + [
                "theta", "uncertainty", "label", "weighsLosses", "weighsClicks", "refiner", "refinerEpochs",
                "refinerRate",
                "refinerMinimumIoU", "refinerFilters", "refinerMustImprove", "store",
            ],
            "direct": [], "tent": [], "supervised": losses, "self-training": losses + masking,
            "wesam": losses + ["anchorWeight", "contrastWeight", "temperature", "contrast", "patchSide"] + masking,
        ]
        for name in MethodRegistry.known.names {
            let section = section(name, ["focalWeight": .number(3)])
            #expect(section.rows.dropFirst().map(\.name) == own[name], "\(name)")
            if let method = section.method as? WeSAM { #expect(method.settings.losses.focalWeight == 3) }
            if let method = section.method as? SelfTraining { #expect(method.settings.losses.focalWeight == 3) }
            if let method = section.method as? Supervised { #expect(method.settings.focalWeight == 3) }
            #expect((section == self.section(name)) == !(own[name] ?? []).contains("focalWeight"))
        }
        #expect(section("wesam").variants.map(\.name) == MethodRegistry.known.names)
    }

    /// Another method begins with its own defaults; the same one keeps what was set.
    @Test func choosingAMethodGivesItsDefaults() {
        var section = section("wesam", ["focalWeight": .number(3)])
        section.set(row: 0, to: .word("wesam"))
        #expect((section.method as? WeSAM)?.settings.losses.focalWeight == 3)
        section.set(row: 0, to: .word("supervised"))
        #expect((section.method as? Supervised)?.settings.focalWeight == 20)
    }

    @Test func weightsOfZeroAreNamed() throws {
        let zero: [String: RecipeValue] = [
            "focalWeight": .number(0), "diceWeight": .number(0), "iouWeight": .number(0),
        ]
        for name in ["self-training", "supervised"] {
            #expect(section(name, zero).faults.map(\.key) == ["focalWeight"])
        }
        #expect(section("wesam", zero).faults.isEmpty)
        let all = zero.merging(["anchorWeight": .number(0), "contrastWeight": .number(0)]) { $1 }
        #expect(section("wesam", all).faults.count == 1)
    }

    @Test func anUnknownNameIsAnsweredWithTheKnownOnes() {
        let error = #expect(throws: AdaptationMethodError.self) { _ = try MethodRegistry.known.make("wesan") }
        #expect(error?.kind == .unknownMethod)
        #expect(error?.description.contains("wesan") == true)
        #expect(MethodRegistry.known.names.allSatisfy { error?.description.contains($0) == true })
    }

    /// Stages of methods that treat all domains alike.
    @Test func stagesAreOneOrOnePerDomain() throws {
        let method = try MethodRegistry.known.make("wesam")
        #expect(
            method.stages(over: ["a", "b"], order: .joint) == [
                Stage("adapt", domains: ["a", "b"], evaluated: ["a", "b"])
            ])
        #expect(
            method.stages(over: ["a", "b"], order: .sequential) == [
                Stage("a", domains: ["a"], evaluated: ["a", "b"]), Stage("b", domains: ["b"], evaluated: ["a", "b"]),
            ])
        #expect(try MethodRegistry.known.make("direct").stages(over: ["a"], order: .sequential).isEmpty)
    }
}
