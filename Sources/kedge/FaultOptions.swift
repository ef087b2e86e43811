import ArgumentParser
import FaultInjection

/// Faults that tests inject into a command.
struct FaultOptions: ParsableArguments {
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("Injects a fault (for tests).", visibility: .private),
        transform: { text in
            guard let fault = Fault(text) else { throw ValidationError("\(text) is not a valid fault") }
            return fault
        })
    var fault: [Fault] = []

    /// Arms the faults of a rank.
    func arm(rank: Int) { FaultInjector.arm(fault, rank: rank) }
}
