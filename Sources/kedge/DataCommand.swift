import ArgumentParser
import Collectives
import Datasets
import DataTools
import Foundation
import Imaging
import Runs
import Telemetry

/// `kedge data`; each subcommand is a struct of its own, listed here.
struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "Checks or corrupts data sets.", subcommands: [Check.self, Corrupt.self])
}

extension DataCommand {
    /// `kedge data corrupt`.
    struct Corrupt: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "corrupt",
            abstract: "Applies the fifteen published corruptions to a folder of images, at severities 1 to 5.",
            discussion: """
                Writes OUTPUT/NAME-SEVERITY/ with the input's files and folders, as PNG. Labels stay unchanged. The \
                same seed gives the same files with any number of threads. The table reports mean and variance \
                of the results, the peak signal-to-noise ratio against the originals, and in the last columns how \
                far mean and variance deviate from the published package on built-in reference images (within 2 % is \
                ok). Names: \(Corruption.allCases.map(\.rawValue).joined(separator: ", ")).
                """)

        @Option(help: "The folder with PNG or JPEG images; subfolders are kept.")
        var input: String

        @Option(help: "The output folder, outside the input.")
        var output: String

        @Option(parsing: .upToNextOption, help: "The corruptions to apply.")
        var name: [String] = []

        @Flag(help: "Apply all fifteen.")
        var all = false

        @Option(parsing: .upToNextOption, help: "Severities, each 1 to 5.")
        var severity: [Int] = [5]

        @Option(help: "Seed.")
        var seed: UInt64 = 1

        @Option(
            help: ArgumentHelp(
                "A folder with the published package's frost images; by default frost is generated from noise.",
                valueName: "folder"))
        var frostTextures: String?

        @Option(
            help: ArgumentHelp(
                "A folder to write frost textures into, in the form --frost-textures reads.", valueName: "folder"))
        var writeFrostTextures: String?

        @Flag(help: "Match the released WeSAM code: channels in the order blue, green, red; JPEG quality 95.")
        var released = false

        @Option(
            help: ArgumentHelp(
                "How samples become 8 bits, as data.intensity: \(IntensityArgument.names).", valueName: "rule"),
            transform: IntensityArgument.parse)
        var intensity = Intensity.Rule.auto

        @Option(help: "Threads; 0 uses all cores.")
        var threads = 0

        func validate() throws {
            guard (0...1024).contains(threads) else { throw ValidationError("--threads must be 0 to 1024") }
            for name in name where Corruption(rawValue: name) == nil {
                throw ValidationError(
                    "--name \(name) is not a corruption; choose from "
                        + Corruption.allCases.map(\.rawValue).joined(separator: ", "))
            }
            guard all == name.isEmpty else {
                throw ValidationError(all ? "use --name or --all, not both" : "specify --name NAME ... or --all")
            }
            guard severity.allSatisfy(Corruption.severities.contains) else {
                throw ValidationError("--severity must be 1 to 5")
            }
        }

        func run() throws {
            Startup.onAllRanks { communicator in
                let cores = try ThreadShare.threads(asked: threads, communicator: communicator)
                guard communicator.isRoot else { return .done }
                let frost = try frostTextures.map { try FrostTextures(folder: $0) } ?? .synthetic
                if let writeFrostTextures {
                    try InputProtection.check(outputFolder: writeFrostTextures, outside: input)
                    try InputProtection.check(
                        outputs: FrostTextures.fileNames(frost).map { writeFrostTextures + "/" + $0 }, files: [],
                        folders: [input] + (frostTextures.map { [$0] } ?? []))
                    try frost.write(to: writeFrostTextures)
                }
                let folder = try FolderCorruption(
                    input: input, output: output,
                    corruptions: all ? Corruption.allCases : name.compactMap { Corruption(rawValue: $0) },
                    severities: severity, seed: seed, order: released ? .released : .published, frost: frost,
                    intensity: intensity)
                try folder.checkOutputs(sparing: frostTextures)
                let summaries = try folder.run(threads: cores)
                print(Self.header)
                for summary in summaries {
                    print(
                        Self.row(
                            summary,
                            try summary.corruption.deviationFromPublished(severity: summary.severity, frost: frost)))
                }
                print("\(output): \(folder.imageCount) images in each of \(summaries.count) folders, seed \(seed)")
                return .done
            }
        }

        private static let header =
            "corruption          severity   images     mean   variance   PSNR dB   against the published package"

        private static func row(_ summary: FolderCorruption.Summary, _ deviation: PublishedDeviation) -> String {
            func column(_ text: String, _ width: Int) -> String {
                String(repeating: " ", count: max(width - text.count, 1)) + text
            }
            func percent(_ share: Double) -> String { String(format: "%+.2f %%", 100 * share) }
            let name = summary.corruption.rawValue.padding(toLength: 18, withPad: " ", startingAt: 0)
            return name + column("\(summary.severity)", 10) + column("\(summary.images)", 9)
                + column(String(format: "%.2f", summary.statistics.mean), 9)
                + column(String(format: "%.1f", summary.statistics.variance), 11)
                + column(String(format: "%.2f", summary.peakSignalToNoise), 10)
                + "   mean \(percent(deviation.mean)), variance \(percent(deviation.variance)): "
                + (deviation.isWithinTolerance ? "ok" : "differs")
        }
    }
}
