import ArgumentParser
import Foundation
import SegmentAnything
import Telemetry

/// `kedge models`.
struct ModelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models",
        abstract: "Lists the models, their weight files and the prompts they support.",
        discussion: """
            Input is the side of the square input in pixels. The last column shows whether the file is where \
            scripts/fetch-weights puts it (KEDGE_WEIGHTS_DIR, or ./weights/): there, missing, or differs if its \
            size is not the published one.
            """)

    @Flag(help: "Print the table for scripts/fetch-weights (scripts/models.tsv) instead.")
    var tsv = false

    func run() throws {
        Startup.outsideRanks {
            if tsv {
                // Its columns are separated by tabs.
                Swift.print(ModelCatalog.fetchTable, terminator: "")
                return .done
            }
            let folder = URL(fileURLWithPath: ModelCatalog.weightsFolder).path
            print("kind as in model.kind and --model; files in \(folder)\n")
            print(ModelCatalog.listing(sizeOfFile: Self.size))
            return .done
        }
    }

    /// The size of the file at a path (following links), or nil if there is none.
    private static func size(ofFile path: String) -> Int? {
        let place = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        return try? FileManager.default.attributesOfItem(atPath: place)[.size] as? Int
    }
}
