import Adapters
import ArgumentParser
import Collectives
import PlainText
import SegmentAnything
import Telemetry
import WeightFiles

/// `kedge inspect`.
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Describes a weight file or adapter: dialect, model, sizes, tensors.",
        discussion: "Reads safetensors and PyTorch's zip files (.pth, .pt); no code in them is executed.")

    @Argument(help: "The file.")
    var file: String

    @Flag(help: "List every tensor with its element type and shape.")
    var tensors = false

    func run() throws {
        Startup.onAllRanks { communicator in
            guard communicator.isRoot else { return .done }
            let table = try WeightFile.open(file)
            let numbers = table.entries.reduce(0) { $0 + $1.count }
            print("file      \(file.onOneLine)")
            print("sha256    \(try table.fileDigest())")
            print("content   \(try table.contentDigest())")
            if let identity = try? WeightDialect.detect(table) {
                let published = ModelCatalog.published(identity.encoder).map { "\($0.name), \($0.title): " }
                print("model     \(published.joined())\(identity)")
            } else if let adapter = try? AdapterFile(opening: file) {
                print("model     \(adapter.title) for \(adapter.description.model)")
            } else {
                print("model     not a Segment Anything model by its tensor names")
            }
            print("tensors   \(table.entries.count), \(numbers) numbers")
            for key in table.metadata.keys.sorted() {
                print("metadata  \(key) = \(table.metadata[key] ?? "")".onOneLine)
            }
            if tensors {
                for entry in table.entries {
                    print("\(entry.name)  \(entry.elementType.rawValue)  \(entry.shape)".onOneLine)
                }
            }
            return .done
        }
    }
}
