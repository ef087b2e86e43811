import Adapters
import ArgumentParser
import Collectives
import Telemetry

/// `kedge pool`.
struct PoolCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pool", abstract: "Lists the adapters of a pool, as made with continual.strategy=moda.",
        subcommands: [List.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One line per domain, after checking every file against the pool's digests.")

        @Argument(help: "The pool's folder, as in runs/NAME/pool.")
        var pool: String

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                let files = try AdapterPool(opening: pool)
                print(
                    "\(pool): \(files.model), base weights \(files.baseDigest.prefix(12)), evaluation.view=\(files.view)"
                )
                for entry in files.entries {
                    print(
                        "\(entry.domain): \(entry.steps) steps, \(entry.images) images, \(entry.memoryImages.count) in memory, "
                            + "\(entry.file.name) sha256 \(entry.file.sha256.prefix(16))")
                }
                print(files.router.map { "router: \($0.name) sha256 \($0.sha256.prefix(16))" } ?? "router: none")
                return .done
            }
        }
    }
}
