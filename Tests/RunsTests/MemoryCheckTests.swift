import Collectives
import Machine
import Planning
import Recipes
import Runs
import SegmentAnything
import Telemetry
import Testing
import Training

/// A run is refused on all ranks if a node cannot hold its ranks; otherwise the planned memory is reported.
@Suite struct MemoryCheckTests {
    private func check(ranks: Int, free: NodeMemory?, recompute: String = "none") throws -> [String] {
        let recipe = try ResolvedRecipe(
            settings: ["model.kind=tiny", "data.root=d", "execution.recompute=\(recompute)"]
        ).recipe
        return try InProcessCommunicator.run(ranks: ranks) { communicator in
            do {
                return try MemoryCheck(
                    recipe: recipe, configuration: .tiny, threads: 1, mostInstances: 5, free: { free }
                ).run(communicator).fact.line
            } catch let error as RunError {
                #expect(error.exitCode == .resources)
                return "\(error)"
            }
        }
    }

    @Test func enoughMemoryIsSaid() throws {
        for line in try check(ranks: 2, free: NodeMemory(available: 1 << 32, source: "the system")) {
            #expect(line.contains("MiB per rank expected, 4096 MiB free"))
        }
    }

    @Test func tooLittleIsRefusedOnAllRanks() throws {
        let little = NodeMemory(available: 16 << 20, source: "the control group's limit")
        let lines = try check(ranks: 3, free: little)
        #expect(Set(lines).count == 1)
        #expect(lines[0].contains("3 ranks on"))
        #expect(lines[0].contains("16 MiB are free according to the control group's limit"))
        #expect(lines[0].contains("execution.recompute=blocks"))
        #expect(try check(ranks: 1, free: little, recompute: "blocks")[0].contains("prompts.maximumInstances"))
    }

    @Test func unknownMemoryIsNoReasonToStop() throws {
        #expect(try check(ranks: 1, free: nil)[0].hasSuffix("MiB per rank expected"))
    }
}
