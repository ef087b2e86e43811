import Imaging
import Tensors

/// Converts one image of the data set to the model's inputs.
///
/// Read, mirror (weak), copy and change colours (strong), resize and scale both views, resize masks, cap, prompt. All
/// randomness is keyed by (seed, epoch, sample index) in training, and by (seed, image name) in evaluation, so that an
/// evaluation uses the same points every time.
public struct ExamplePreparation: Sendable {
    let dataset: any SegmentationDataset
    let preprocessing: Preprocessing
    let prompts: PromptOptions
    private let teacherKind: PromptKind?
    private let flips: WeakAugmentation.Schedule
    private let keepsMasks: Bool
    private let view: View
    /// The seed of all random choices.
    package let seed: UInt64

    /// How images become views.
    public enum View: Sendable {
        /// Aspect ratio kept; in training a mirrored view and one with other colours (WeSAM).
        case fitted
        /// Training images scaled and cropped at random, with one object and one of three kinds of prompt (CoSAM).
        case jittered
        /// Evaluation images squashed to the model's square, prompted by the box of the squashed mask (CoSAM).
        case squashed
    }

    /// Creates a preparation for one data set.
    ///
    /// - Parameters:
    ///   - teacherKind: The teacher's kind of prompt in training; nil gives it the same prompts.
    ///   - flips: How often the weak view's mirroring is drawn.
    ///   - keepsMasks: Whether training examples include their masks, for methods that learn from them.
    public init(
        dataset: any SegmentationDataset, preprocessing: Preprocessing, prompts: PromptOptions,
        teacherKind: PromptKind? = nil, flips: WeakAugmentation.Schedule = .everyEpoch, keepsMasks: Bool = false,
        view: View = .fitted, seed: UInt64
    ) {
        self.view = view
        self.keepsMasks = keepsMasks
        self.dataset = dataset
        self.preprocessing = preprocessing
        self.prompts = prompts
        self.teacherKind = teacherKind == prompts.kind ? nil : teacherKind
        self.flips = flips
        self.seed = seed
    }

    /// The name of an image.
    public func id(_ index: Int) -> String { dataset.id(index) }

    /// Prepares a training image. Throws `DatasetError`.
    ///
    /// Instances that vanish in the model frame are skipped; of more than `maximumInstances` a random subset is kept.
    public func trainingExample(_ request: SampleRequest) throws -> TrainingExample {
        if view == .jittered { return try jitteredExample(request) }
        let (epoch, index) = (request.epoch, request.sampleIndex)
        let original = try dataset.sample(index)
        let flip = WeakAugmentation.draw(flips, seed: seed, epoch: epoch, sample: index)
        let sample = flip.apply(to: original)
        let operations = StrongAugmentation.draw(
            seed: seed, epoch: epoch, sample: index, width: sample.image.width, height: sample.image.height)
        let strong = StrongAugmentation.apply(operations, to: sample.image)
        let frame = preprocessing.frame(width: sample.image.width, height: sample.image.height)
        let usesMasks = prompts.source != .annotations || keepsMasks
        let masks = usesMasks ? sample.instances?.resized(to: frame) : nil
        if keepsMasks && masks == nil { throw DatasetError.withoutMasks(sample.id) }
        var cap = SeededGenerator(seed: seed, epoch: epoch, sample: index, purpose: "instance cap")
        let instances = PromptSampling.capped(
            Self.present(sample, masks), maximum: prompts.maximumInstances, generator: &cap)
        var points = SeededGenerator(seed: seed, epoch: epoch, sample: index, purpose: "training prompts")
        let student = try PromptSampling.prompts(
            for: sample, modelMasks: masks, instances: instances, frame: frame, options: prompts, generator: &points)
        let teacher = try teacherKind.map { kind in
            var options = prompts
            options.kind = kind
            var points = SeededGenerator(seed: seed, epoch: epoch, sample: index, purpose: "teacher prompts")
            return try PromptSampling.prompts(
                for: sample, modelMasks: masks, instances: instances, frame: frame, options: options,
                generator: &points)
        }
        var example = TrainingExample(
            request: request, id: sample.id, flip: flip, weak: preprocessing.apply(to: sample.image),
            strong: preprocessing.apply(to: strong), frame: frame, prompts: student, teacherPrompts: teacher,
            masks: keepsMasks ? masks?.selecting(instances) : nil, softMasks: nil,
            random: SeededGenerator(seed: seed, epoch: epoch, sample: index, purpose: "method"))
        precondition(flip == .none || original.maps == nil, "maps of pseudo-masks are not mirrored")
        (example.maps, example.task) = (original.maps?.selecting(instances), original.task)
        return example
    }

    /// Prepares an evaluation image without augmentation and without a cap.
    ///
    /// - Parameter kinds: The kinds of prompt; by default the one of the options.
    /// - Throws: `DatasetError`.
    public func evaluationExample(_ index: Int, kinds: [PromptKind]? = nil) throws -> EvaluationExample {
        if view == .squashed { return try squashedExample(index) }
        let sample = try dataset.sample(index)
        let frame = preprocessing.frame(width: sample.image.width, height: sample.image.height)
        let masks = sample.instances?.resized(to: frame)
        let instances = Self.present(sample, masks)
        // Without masks all instances are present.
        let divided = masks == nil ? sample.points.map(HeldOutPoints.init) : nil
        var prompted = sample
        prompted.points = divided?.prompts ?? sample.points
        let prompts = try (kinds ?? [self.prompts.kind]).map { kind in
            var options = self.prompts
            options.kind = kind
            options.takesMiddleOfBox = true
            var points = SeededGenerator(seed: seed, purpose: "evaluation prompts of " + sample.id)
            return try PromptSampling.prompts(
                for: prompted, modelMasks: masks, instances: instances, frame: frame, options: options,
                generator: &points)
        }
        let boxes =
            sample.boxes
            ?? sample.polygons.flatMap { polygons -> [Box]? in
                let bounds = polygons.compactMap(\.bounds)
                return bounds.count == polygons.count ? bounds : nil
            }
        return EvaluationExample(
            sampleIndex: index, id: sample.id, image: sample.image, input: preprocessing.apply(to: sample.image),
            frame: frame, prompts: prompts, count: instances.count, masks: masks?.selecting(instances),
            originalMasks: sample.instances?.selecting(instances),
            boxes: boxes.map { all in instances.map { all[$0] } },
            points: sample.points.map { all in instances.map { all[$0] } }, heldOutPoints: divided?.scored,
            isSquashed: false, vanished: sample.instanceCount - instances.count)
    }

    /// The instances that still have a pixel in the model frame; all of them if there are no masks.
    static func present(_ sample: Sample, _ masks: InstanceMasks?) -> [Int] {
        (0..<sample.instanceCount).filter { instance in masks.map { $0.pixelCount(of: instance) > 0 } ?? true }
    }
}
