public import AdaptationMethods
public import Layers
public import SegmentAnything

/// Memory, operations and time of an adaptation step, before it is run.
public struct StepPlan: Codable, Sendable, Equatable {
    /// A part of a rank's memory.
    public struct Part: Codable, Sendable, Equatable {
        /// What it holds.
        public let name: String
        /// Bytes.
        public let bytes: Int
    }

    /// What is asked for.
    public struct Request: Sendable {
        /// The model's sizes.
        public var configuration: SegmentAnythingConfiguration
        /// The method's settings; `recompute` and `decoderChunk` decide memory.
        public var settings = WeSAMConfiguration()
        /// Rank of the LoRA matrices.
        public var loraRank = 4
        /// Instances in the image.
        public var instances = 8
        /// Points per instance, or nil for boxes.
        public var points: Int?
        /// Samples read ahead.
        public var prefetchDepth = 4
        /// Compute threads of a rank.
        public var threads = 1

        /// A request with the defaults of a recipe.
        public init(_ configuration: SegmentAnythingConfiguration) { self.configuration = configuration }
    }

    /// The recompute level.
    public let recompute: RecomputeLevel
    /// The parts of a rank's memory.
    public let parts: [Part]
    /// Operations of a step on one image.
    public let operations: Double

    /// Bytes of one rank.
    public var bytesPerRank: Int { parts.reduce(0) { $0 + $1.bytes } }

    /// Bytes a rank has yet to take once the program runs and its weights are loaded.
    public var bytesToCome: Int {
        parts.filter { $0.name != Self.weightsName && $0.name != Self.runtimeName }.reduce(0) { $0 + $1.bytes }
    }

    private static let weightsName = "frozen weights"
    private static let runtimeName = "program and scratch"

    /// The process without tensors: program, libraries, MPI, and per thread OpenBLAS's buffer and the kernels' scratch.
    static func runtimeBytes(threads: Int) -> Int { (40 + 15 * threads) << 20 }

    /// Plans a step by rehearsing it. Throws what a step throws.
    public init(_ request: Request) throws {
        let rehearsal = try StepRehearsal(
            request.configuration, settings: request.settings, loraRank: request.loraRank,
            instances: request.instances, points: request.points)
        let side = request.configuration.imageSize
        // Two views in single precision, and the masks that prompts are drawn from, a bit per pixel and instance.
        let sample = side * side * (2 * 3 * 4) + request.instances * side * side / 8
        recompute = request.settings.recompute
        operations =
            StepCost(
                request.configuration, settings: request.settings, instances: request.instances
            ).total
        parts = [
            Part(name: Self.weightsName, bytes: rehearsal.weights),
            Part(name: "encoder residuals", bytes: rehearsal.encoderResiduals),
            Part(name: "decoder, losses, temporaries", bytes: max(0, rehearsal.step - rehearsal.encoderResiduals)),
            Part(name: "samples read ahead", bytes: request.prefetchDepth * sample),
            Part(name: Self.runtimeName, bytes: Self.runtimeBytes(threads: request.threads)),
        ]
    }

    /// Seconds of a step at a rate of matrix products, operations per second, at the share an encoder of this kind
    /// reaches (`kedge bench encoder`).
    public func seconds(rate: Double, configuration: SegmentAnythingConfiguration) -> Double {
        let share: Double =
            switch configuration.encoder {
            case .viT: 0.75
            case .tinyViT: 0.55
            }
        return operations / (rate * share)
    }
}

extension SegmentAnythingConfiguration {
    /// Side of the square input, pixels.
    public var imageSize: Int {
        switch encoder {
        case .viT(let sizes): sizes.imageSize
        case .tinyViT(let sizes): sizes.imageSize
        }
    }
}
