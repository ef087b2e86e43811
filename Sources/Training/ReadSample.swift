import Datasets
import FaultInjection
import Glibc
import Machine

/// Reads training images ahead and prepares examples of them.
struct SampleReader: Sendable {
    let preparation: ExamplePreparation
    let anchors: AnchorStore?
    let prefetch: (depth: Int, threads: Int)

    /// Starts reading the images of some requests. Throws `ResourceShortage` if the system refuses the threads.
    func read(
        _ requests: some IteratorProtocol<SampleRequest> & Sendable
    ) throws(ResourceShortage) -> SamplePrefetcher<SampleRequest, ReadSample> {
        try SamplePrefetcher(requests, depth: prefetch.depth, threads: prefetch.threads) { request in
            try FaultInjector.$step.withValue(request.runStep) { try ReadSample(request, preparation, anchors) }
        }
    }
}

/// The result of reading a training image ahead: an example, or the reason why the image is unusable.
enum ReadSample: Sendable {
    case prepared(PreparedExample)
    case unreadable(SampleRequest, id: String, DatasetError)

    /// Reads an image. Throws errors that are not the fault of this image.
    init(_ request: SampleRequest, _ preparation: ExamplePreparation, _ anchors: AnchorStore?) throws {
        let id = preparation.id(request.sampleIndex)
        do {
            switch FaultInjector.reach(.data) {
            case .none: break
            case .errorNumber(let number):
                throw DatasetError(
                    .unreadableFile, at: id, String(cString: strerror(number)),
                    remedy: "the fault was injected with --fault")
            case .fail, .notANumber: throw InjectedFault(point: .data)
            }
            self = .prepared(PreparedExample(try preparation.trainingExample(request), anchors))
        } catch let error as DatasetError where error.concernsOneImage {
            self = .unreadable(request, id: id, error)
        }
    }

    /// The image's place in the schedule.
    var request: SampleRequest {
        switch self {
        case .prepared(let prepared): prepared.example.request
        case .unreadable(let request, _, _): request
        }
    }
}
