import FaultInjection
import Glibc
import Testing

@Suite(.serialized) struct FaultTests {
    @Test(arguments: [
        ("shard-open@3:1=kill", Fault(point: .shardOpen, step: 3, rank: 1, action: .kill)),
        ("publish@*:0=throw", Fault(point: .publish, step: nil, rank: 0, action: .fail)),
        ("data@0:*=sleep:2.5", Fault(point: .data, step: 0, rank: nil, action: .sleep(2.5))),
        ("shard-flush@7:2=enospc", Fault(point: .shardFlush, step: 7, rank: 2, action: .errorNumber(ENOSPC))),
        ("gradient@1:0=nan", Fault(point: .gradient, step: 1, rank: 0, action: .notANumber)),
    ]) func writtenForm(_ text: String, _ fault: Fault) { #expect(Fault(text) == fault) }

    @Test(arguments: [
        "", "kill", "nowhere@1:0=kill", "step@1=kill", "step@1:0", "step@-1:0=kill", "step@1:x=kill", "step@1:0=melt",
        "step@1:0=sleep:", "step@1:0=sleep:nan", "step@1:0=sleep:-1", "step@1:0=kill=kill", "step@1:0:2=kill",
    ]) func otherTextsAreNoFaults(_ text: String) { #expect(Fault(text) == nil) }

    @Test func happensOnceAtItsStepOnItsRank() throws {
        defer { FaultInjector.arm([], rank: 0) }
        let faults = ["exchange@2:1=throw", "shard-middle@2:*=eio", "exchange@2:0=nan"].compactMap { Fault($0) }
        FaultInjector.arm(faults, rank: 1)
        FaultInjector.$step.withValue(1) { #expect(FaultInjector.reach(.exchange) == .none) }
        FaultInjector.$step.withValue(2) {
            #expect(FaultInjector.reach(.update) == .none)
            #expect(throws: InjectedFault(point: .exchange)) { try FaultInjector.check(.exchange) }
            #expect(FaultInjector.reach(.exchange) == .none)
            #expect(FaultInjector.reach(.middle) == .none)
            FaultInjector.$file.withValue(.manifest) { #expect(FaultInjector.reach(.middle) == .none) }
            FaultInjector.$file.withValue(.shard) { #expect(FaultInjector.reach(.middle) == .errorNumber(EIO)) }
        }
    }
}
