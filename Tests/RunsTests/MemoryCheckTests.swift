import Collectives
import Machine
import ModelLoading
import Planning
import Recipes
import Runs
import SegmentAnything
import Telemetry
import Testing
import Training

/// A run is refused on all ranks if a node cannot hold its ranks; otherwise the planned memory is reported.
@Suite struct MemoryCheckTests {
    private func check(
        ranks: Int, free: NodeMemory?, limit: ProcessLimit? = nil, recompute: String = "none"
    ) throws -> [String] {
        let recipe = try ResolvedRecipe(
            settings: ["model.kind=tiny", "data.root=d", "execution.recompute=\(recompute)"]
        ).recipe
        return try InProcessCommunicator.run(ranks: ranks) { communicator in
            do {
                return try MemoryCheck(
                    recipe: recipe, configuration: .tiny, threads: 1, mostInstances: 5, free: { free },
                    limit: { limit }
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

    /// Every rank has the limit for itself, so their number does not matter.
    @Test func aLimitOfTheProcessIsRefusedWithItsRemedy() throws {
        let node = NodeMemory(available: 1 << 34, source: "the system")
        let tight = ProcessLimit(.addressSpace, limit: 600 << 20, used: 580 << 20)
        let line = try check(ranks: 1, free: node, limit: tight)[0]
        #expect(line.contains("needs ") && line.contains("MiB more: the address space of a process is limited"))
        #expect(
            line.contains("to 600 MiB, of which 580 MiB are taken; raise it: ulimit -v unlimited, or a larger h_vmem"))
        #expect(try Set(check(ranks: 3, free: node, limit: tight)) == [line])
        let wide = ProcessLimit(.addressSpace, limit: 1 << 40, used: 580 << 20)
        #expect(try check(ranks: 1, free: node, limit: wide)[0].contains("MiB per rank expected"))
        let data = ProcessLimit(.data, limit: 600 << 20, used: 580 << 20)
        #expect(try check(ranks: 1, free: node, limit: data)[0].contains("ulimit -d unlimited"))
    }

    @Test func weightsThatDoNotFitAreRefusedBeforeTheyAreRead() throws {
        var model = ModelSettings()
        (model.kind, model.weights) = (.vitB, "no-such-file")
        let communicator = try SingleProcessCommunicator()
        let node = NodeMemory(available: 1 << 34, source: "the system")
        try MemoryCheck.checkWeights(model, communicator, free: node, limit: nil)
        #expect {
            try MemoryCheck.checkWeights(
                model, communicator, free: NodeMemory(available: 100 << 20, source: "the control group's limit"),
                limit: nil)
        } throws: { error in
            "\(error)".contains("the weights of vit_b need 357 MiB")
                && "\(error)".contains("100 MiB are free according to the control group's limit")
        }
        #expect {
            try MemoryCheck.checkWeights(
                model, communicator, free: node, limit: ProcessLimit(.addressSpace, limit: 400 << 20, used: 200 << 20))
        } throws: { error in
            (error as? RunError)?.exitCode == .resources && "\(error)".contains("h_vmem")
        }
    }
}
