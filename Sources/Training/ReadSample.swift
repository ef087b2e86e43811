import Datasets
import FaultInjection
import Glibc

/// What reading a training image ahead gave: an example, or the reason why the image cannot be used.
enum ReadSample: Sendable {
    case prepared(PreparedExample)
    case unreadable(SampleRequest, id: String, DatasetError)

    /// Reads an image. Throws what is not the fault of this one image.
    init(_ request: SampleRequest, _ preparation: ExamplePreparation, _ anchors: AnchorStore?) throws {
        let id = preparation.id(request.sampleIndex)
        do {
            switch FaultInjector.reach(.data) {
            case .none: break
            case .errorNumber(let number):
                throw DatasetError(
                    .unreadableFile, at: id, String(cString: strerror(number)),
                    remedy: "this was asked for with --fault")
            case .fail, .notANumber: throw InjectedFault(point: .data)
            }
            self = .prepared(PreparedExample(try preparation.trainingExample(request), anchors))
        } catch let error as DatasetError where error.concernsOneImage {
            self = .unreadable(request, id: id, error)
        }
    }

    /// The place in the schedule.
    var request: SampleRequest {
        switch self {
        case .prepared(let prepared): prepared.example.request
        case .unreadable(let request, _, _): request
        }
    }
}
