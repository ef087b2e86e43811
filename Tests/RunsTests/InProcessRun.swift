import Collectives
import Kernels
import Recipes
import Runs

/// Whole runs on ranks of this process.
enum InProcessRun {
    /// The outcome on rank 0 of a run with these settings.
    ///
    /// - Parameter checks: Every rank is asked to stop at its check after this many.
    static func outcome(
        _ settings: [String], ranks: Int = 1, stopAfter checks: Int = .max
    ) throws -> AdaptationRun.Outcome {
        let recipe = try ResolvedRecipe(settings: settings)
        return try InProcessCommunicator.run(ranks: ranks) { communicator in
            let asked = Countdown(checks)
            return try AdaptationRun(
                recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1),
                isStopRequested: { asked.isOver() }
            ).run()
        }[0]
    }

    /// True from the n-th call on.
    private final class Countdown: @unchecked Sendable {
        private var left: Int
        init(_ left: Int) { self.left = left }
        func isOver() -> Bool {
            left -= 1
            return left < 0
        }
    }
}
