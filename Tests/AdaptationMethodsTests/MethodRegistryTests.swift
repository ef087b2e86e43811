import AdaptationMethods
import Testing

@Suite struct MethodRegistryTests {
    @Test func everyNameGivesAMethod() throws {
        #expect(MethodRegistry.names == MethodRegistry.names.sorted())
        for name in MethodRegistry.names {
            let method = try MethodRegistry.make(name, weSAM: .init())
            #expect(method.lossNames.isEmpty == !method.trains)
            #expect(method.usesAnchor == (name == "wesam") && method.needsMasks == (name == "supervised"))
        }
    }

    @Test func settingsReachTheMethod() throws {
        var configuration = WeSAMConfiguration()
        configuration.focalWeight = 3
        let method = try MethodRegistry.make("wesam", weSAM: configuration)
        #expect((method as? WeSAM)?.configuration == configuration)
    }

    @Test func anUnknownNameIsAnsweredWithTheKnownOnes() {
        let error = #expect(throws: AdaptationMethodError.self) {
            _ = try MethodRegistry.make("wesan", weSAM: .init())
        }
        #expect(error?.kind == .unknownMethod)
        #expect(error?.description.contains("wesan") == true)
        #expect(MethodRegistry.names.allSatisfy { error?.description.contains($0) == true })
    }
}
