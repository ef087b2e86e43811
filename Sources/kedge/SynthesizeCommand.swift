import ArgumentParser
import Collectives
import Datasets
import DataTools
import Telemetry

/// `kedge synthesize`.
struct SynthesizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "synthesize", abstract: "Creates a small demonstration data set of textured cell-like objects.",
        discussion: """
            Writes images/ and labels/ (16-bit instance numbers) in the folder layout of recipes. The domain \
            shift grows with --severity: lower contrast, uneven light, blur, noise, spurious structures. The same seed \
            gives the same files.
            """)

    @Option(help: "The output folder.")
    var output: String

    @Option(help: "Images.")
    var count = 36

    @Option(help: "Side of the square images in pixels.")
    var size = 320

    @Option(help: "Seed.")
    var seed: UInt64 = 1

    @Option(help: "Strength of the domain shift, 0 to 5.")
    var severity = 3

    func validate() throws {
        guard (1...100_000).contains(count) else { throw ValidationError("--count must be 1 to 100000") }
        guard (64...2048).contains(size) else { throw ValidationError("--size must be 64 to 2048") }
        guard (0...5).contains(severity) else { throw ValidationError("--severity must be 0 to 5") }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            guard communicator.isRoot else { return .done }
            try SyntheticCells.write(to: output, count: count, side: size, seed: seed, severity: severity)
            print("\(output): \(count) images of \(size) x \(size) pixels, severity \(severity), seed \(seed)")
            return .done
        }
    }
}
