import AdaptationMethods
import Testing

@Suite struct MethodRegistryTests {
    /// Settings by key, as in a recipe; records which were requested.
    private final class Settings: MethodSettingsSource {
        let numbers: [String: Double]
        private(set) var asked: Set<String> = []

        init(_ numbers: [String: Double]) { self.numbers = numbers }

        func number(_ key: String) -> Double? {
            asked.insert(key)
            return numbers[key]
        }
        func integer(_ key: String) -> Int? {
            asked.insert(key)
            return nil
        }
        func text(_ key: String) -> String? {
            asked.insert(key)
            return nil
        }
    }

    @Test func everyNameGivesAMethod() throws {
        #expect(MethodRegistry.known.names == MethodRegistry.known.names.sorted())
        for name in MethodRegistry.known.names {
            let method = try MethodRegistry.known.make(name)
            #expect(method.lossNames.isEmpty == !method.trains)
            #expect(method.needs == ExampleNeeds(anchor: name == "wesam", masks: name == "supervised"))
            #expect(method.settingFaults.isEmpty)
        }
    }

    /// A method reads its own settings and no others.
    @Test func settingsReachTheirMethodAlone() throws {
        let losses: Set = ["lossForm", "focalWeight", "diceWeight", "iouWeight"]
        let masking: Set = ["maskRatio", "maskBlock"]
        let own: [String: Set<String>] = [
            "direct": [], "tent": [], "supervised": losses, "self-training": losses.union(masking),
            "wesam": losses.union(masking).union(["anchorWeight", "contrastWeight", "temperature", "contrast"]),
        ]
        for name in MethodRegistry.known.names {
            let settings = Settings(["focalWeight": 3])
            let method = try MethodRegistry.known.make(name, settings)
            #expect(settings.asked == own[name], "\(name)")
            if let method = method as? WeSAM { #expect(method.settings.losses.focalWeight == 3) }
            if let method = method as? Supervised { #expect(method.settings.focalWeight == 3) }
        }
    }

    @Test func weightsOfZeroAreNamed() throws {
        let zero = ["focalWeight": 0.0, "diceWeight": 0, "iouWeight": 0]
        for name in ["self-training", "supervised"] {
            #expect(try MethodRegistry.known.make(name, Settings(zero)).settingFaults.map(\.key) == ["focalWeight"])
        }
        #expect(try MethodRegistry.known.make("wesam", Settings(zero)).settingFaults.isEmpty)
        let all = zero.merging(["anchorWeight": 0, "contrastWeight": 0]) { $1 }
        #expect(try MethodRegistry.known.make("wesam", Settings(all)).settingFaults.count == 1)
    }

    @Test func anUnknownNameIsAnsweredWithTheKnownOnes() {
        let error = #expect(throws: AdaptationMethodError.self) { _ = try MethodRegistry.known.make("wesan") }
        #expect(error?.kind == .unknownMethod)
        #expect(error?.description.contains("wesan") == true)
        #expect(MethodRegistry.known.names.allSatisfy { error?.description.contains($0) == true })
    }
}
