public import AdaptationMethods
public import Layers
public import SegmentAnything

/// Memory, operations and time of an adaptation step, predicted before a run.
public struct StepPlan: Codable, Sendable, Equatable {
    /// A part of a rank's memory.
    public struct Part: Codable, Sendable, Equatable {
        /// The contents.
        public let name: String
        /// Size in bytes.
        public let bytes: Int
    }

    /// The subject of a plan.
    public struct Request: Sendable {
        /// The step.
        public var step: StepRequest
        /// Images per step on one rank.
        public var imagesPerRank = 1
        /// Samples read ahead.
        public var prefetchDepth = 4
        /// True if a node stores the frozen weights once, false if each rank does.
        public var isBaseShared = true
        /// Compute threads per rank.
        public var threads = 1
        /// Vectors of the parameters' length that a continual strategy keeps beside the present ones.
        public var keptVectors = 0

        /// Creates a request with the defaults of a recipe.
        public init(_ configuration: SegmentAnythingConfiguration, _ method: any AdaptationMethod) {
            step = StepRequest(configuration, method)
        }
    }

    /// The recompute level.
    public let recompute: RecomputeLevel
    /// The parts of a rank's memory.
    public let parts: [Part]
    /// Operations of a step on one image.
    public let operations: Double

    /// Bytes of one rank.
    public var bytesPerRank: Int { parts.reduce(0) { $0 + $1.bytes } }

    /// Bytes a rank will still allocate after the program started and its weights are loaded.
    public var bytesToCome: Int {
        parts.filter { $0.name != Self.weightsName && $0.name != Self.programName }.reduce(0) { $0 + $1.bytes }
    }

    /// Bytes of one copy of the frozen weights.
    public var weightBytes: Int { parts.filter { $0.name == Self.weightsName }.reduce(0) { $0 + $1.bytes } }

    /// Bytes of weights shared by all ranks of a node, which are in memory once.
    public let sharedBytes: Int

    /// Bytes of a node with this number of ranks.
    public func bytes(ranks: Int) -> Int { sharedBytes + ranks * (bytesPerRank - sharedBytes) }

    private static let weightsName = "frozen weights"
    private static let programName = "program and libraries"
    /// Program, libraries and MPI, measured as the memory of a run of the tiny model.
    private static let programBytes = 30 << 20
    /// Per thread: OpenBLAS's buffer and the kernels' scratch, measured in the same way.
    private static let scratchBytes = 15 << 20

    /// Plans a step by rehearsing it. Throws the errors of a rehearsal.
    public init(_ request: Request) throws {
        let step = request.step
        let rehearsal = try StepRehearsal(step)
        let side = step.configuration.imageSize
        // Two views in single precision.
        let views = side * side * (2 * 3 * 4)
        // Masks are one bit per pixel and instance in prepared samples, of which those of one are counted, and bytes in a
        // step; jittered ones are in single precision in both.
        let (needs, pixels) = (step.method.needs, step.instances * side * side)
        let isJittered = needs.view == .jittered
        let masks = isJittered ? request.prefetchDepth * 4 * pixels : pixels / 8
        let truth = needs.masks ? (isJittered ? 4 : 1) * pixels : 0
        let parameterBytes = rehearsal.parameterCount * MemoryLayout<Float>.stride
        let k = max(1, request.imagesPerRank)
        recompute = step.recompute
        sharedBytes = request.isBaseShared ? rehearsal.weights : 0
        operations = StepCost(step.configuration, rehearsal, recompute: step.recompute).total
        parts = [
            Part(name: Self.weightsName, bytes: rehearsal.weights),
            Part(name: "encoder residuals", bytes: rehearsal.encoderResiduals),
            Part(
                name: "decoder, losses, temporaries", bytes: max(0, rehearsal.step - rehearsal.encoderResiduals) + truth
            ),
            Part(name: "samples read ahead", bytes: request.prefetchDepth * views + masks),
            // The slab while images are computed, the data being packed and sent, and the optimiser's moments.
            Part(
                name: "gradients and optimiser",
                bytes: (Int.bitWidth - k.leadingZeroBitCount + k.nonzeroBitCount + 2) * parameterBytes),
            Part(name: "kept between stages", bytes: request.keptVectors * parameterBytes),
            Part(name: Self.programName, bytes: Self.programBytes),
            Part(name: "scratch of the threads", bytes: request.threads * Self.scratchBytes),
        ]
    }

    /// Seconds of a step at a given matrix product rate in operations per second.
    public func seconds(rate: Double, configuration: SegmentAnythingConfiguration) -> Double {
        switch configuration.encoder {
        case .viT: operations / (rate * Self.shareOfViT)
        case .tinyViT: operations / (rate * Self.shareOfTinyViT)
        }
    }

    /// Share of the `cblas_sgemm` rate that a step reaches over `StepCost.total`, from `kedge bench step` on two cores
    /// with AVX2.
    private static let shareOfViT = 0.75
    private static let shareOfTinyViT = 0.55
}
