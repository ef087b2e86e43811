import Adapters
import ArgumentParser
import CheckpointStore
import Collectives
import Evaluation
import Foundation
import Routing
import Runs
import SegmentAnything
import Telemetry
import WeightFiles

/// `kedge pool`.
struct PoolCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pool",
        abstract: "Shows, uses and repairs a pool of adapters, as made with continual.strategy=moda.",
        subcommands: [List.self, Show.self, PoolRouteCommand.self, Remove.self, TrainRouter.self])

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

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Everything in a pool, also in a damaged one.",
            discussion: "Ends with 65 if a file is missing or is not the one the manifest names; each is named.")

        @Argument(help: "The pool's folder, as in runs/NAME/pool.")
        var pool: String

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                let description = PoolDescription(try AdapterPool(forRepair: pool))
                for line in description.lines { print(line) }
                for damage in description.damages { Failure.notice("\(damage)") }
                return description.damages.isEmpty ? .done : .data
            }
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes domains, also damaged ones, and trains the router again over the others.",
            discussion: """
                The files of the other domains keep their bytes. The router is trained from the queries that the pool keeps \
                of its memory images; weights and images are not needed. A command that is killed has removed all of the \
                named domains or none. A run that is not finished does not go on with a pool from which a domain was removed.
                """)

        @Argument(help: "The pool's folder, as in runs/NAME/pool.")
        var pool: String

        @Argument(help: "The domains to remove.")
        var domains: [String]

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                try PoolCommand.change(pool, without: domains)
                return .done
            }
        }
    }

    struct TrainRouter: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "train-router",
            abstract: "Trains the router again from the stored queries, where its file is missing or damaged.")

        @Argument(help: "The pool's folder, as in runs/NAME/pool.")
        var pool: String

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                try PoolCommand.change(pool, without: [])
                return .done
            }
        }
    }

    /// Removes domains and trains the router, while no run writes to the pool.
    private static func change(_ path: String, without domains: [String]) throws {
        var pool = try AdapterPool(forRepair: path)
        let run = URL(fileURLWithPath: path).standardizedFileURL.deletingLastPathComponent()
        let isOfRun = RunFolder(folder: run.deletingLastPathComponent().path, name: run.lastPathComponent).holdsRun
        let lock = isOfRun ? try RunLock(folder: run.path) { Failure.notice($0) } : nil
        defer { withExtendedLifetime(lock) {} }
        if let withoutRejection = try pool.removeAndTrainRouter(without: domains) {
            Failure.notice("warning: no image is sent to the model without adapter: \(withoutRejection)")
        }
        if !domains.isEmpty { print("removed \(domains.joined(separator: ", "))") }
        print("\(path): \(pool.entries.map(\.domain).joined(separator: ", ")); router \(pool.router?.name ?? "none")")
    }
}
