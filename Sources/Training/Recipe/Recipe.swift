import AdaptationMethods
public import Layers
public import SegmentAnything

/// Everything that decides what a run does, with its defaults: the tree that recipe files, `KEDGE_SET` and `--set` fill.
///
/// The doc line of each field is the one ``RecipeReference`` prints; a test keeps the two equal.
public struct Recipe: Codable, Equatable, Sendable {
    /// Name and place of the run.
    public var run = Run()
    /// The base model.
    public var model = Model()
    /// Images and labels.
    public var data = Data()
    /// Pixel normalisation and padding: sam, wesam, medsam, or auto for what the model was trained with
    public var preprocessing = Preprocessing.auto
    /// The weak labels.
    public var prompts = Prompts()
    /// The adaptation method.
    public var method = Method()
    /// Labels that the anchor finds by itself.
    public var automatic = Automatic()
    /// The adapters.
    public var lora = LoRA()
    /// The optimiser and its schedule.
    public var optimizer = Optimizer()
    /// The loop.
    public var training = Training()
    /// What is saved to go on from.
    public var checkpoint = Checkpoint()
    /// How long a rank may be silent.
    public var watchdog = Watchdog()
    /// Which rank computes which image of a batch.
    public var sampler = Sampler()
    /// Anchor embeddings that a node keeps from epoch to epoch.
    public var anchorStore = AnchorStore()
    /// What the ranks of a node share.
    public var node = Node()
    /// How the ranks compute together.
    public var execution = Execution()
    /// What is measured before, during and after.
    public var evaluation = Evaluation()

    /// The recipe of all defaults; it still lacks `data.root`.
    public init() {}

    /// Name and place of the run.
    public struct Run: Codable, Equatable, Sendable {
        /// Name of the run and of its folder
        public var name = "run"
        /// Folder that holds the folders of all runs
        public var folder = "runs"
    }

    /// The base model.
    public struct Model: Codable, Equatable, Sendable {
        /// Architecture of the base model; tiny is a small seeded random model for tests
        public var kind = ModelCatalog.standard
        /// Checkpoint of the base model, .safetensors or .pth; empty is where scripts/fetch-weights puts it; random:SEED is noise of the real sizes, for trying out memory and speed
        public var weights = ""
        /// Side of the square the image is resized and padded to, in pixels; 0 is the model's own
        public var imageSize = 0
    }

    /// Images and labels.
    public struct Data: Codable, Equatable, Sendable {
        /// Format of the data set, by its name in the registry
        public var format = "folder"
        /// Folder of the data set
        public var root = ""
        /// Folder of the images, below the root
        public var images = "images"
        /// Folder of the label images, below the root
        public var labels = "labels"
        /// Label values above this become one instance, all others background; none reads values as instance numbers
        public var binarise: Int?
        /// auto is the published split, else 5:1; k:1 trains on k of k + 1 images, scores the other; none: both on all
        public var split = "auto"
        /// Seed that shuffles the list before the split; none keeps its order; a published split takes none
        public var splitSeed: Int?
        /// Folder of another data set to evaluate on; none evaluates on the split
        public var evaluationRoot: String?
        /// At most so many images, before the split, of a published one in proportion; 0 is all
        public var limit = 0
        /// What to do with the orientation an image file states
        public var exif = Orientation.ignore
        /// Mirroring of the weak view: drawn for every epoch, drawn once per image, or none
        public var flips = Flips.epoch
        /// What to do with an image or label that cannot be read, or gives no prompt: stop the run, or go on without it
        public var badSamples = BadSamples.stop
        /// Images that may be left out in the whole run before it stops
        public var maximumBadSamples = 10
        /// Follow symbolic links out of the data set's folder
        public var followSymlinks = false
        /// Annotation file or folder below the root, for formats that have one; none is where the format has it by custom
        public var annotations: String?
        /// Doubtful annotations as they are meant, or as the released WeSAM code takes them
        public var labelRules = LabelRules.corrected

        /// How doubtful annotations are taken.
        public enum LabelRules: String, Codable, CaseIterable, Sendable {
            case corrected, released
        }

        /// What to do with an image or label that cannot be read.
        public enum BadSamples: String, Codable, CaseIterable, Sendable {
            case stop, skip
        }

        /// When the weak view's mirroring is drawn.
        public enum Flips: String, Codable, CaseIterable, Sendable {
            case epoch, image, none
        }

        /// What to do with the orientation an image file states.
        public enum Orientation: String, Codable, CaseIterable, Sendable {
            case ignore, apply
        }
    }

    /// How pixels become the model's input.
    public enum Preprocessing: String, Codable, CaseIterable, Sendable {
        case auto, sam, wesam, medsam
    }

    /// The weak labels.
    public struct Prompts: Codable, Equatable, Sendable {
        /// Weak label that training derives from each instance
        public var kind = Kind.box
        /// Weak label of the teacher and the anchor where it is to be another than the student's
        public var teacherKind = TeacherKind.same
        /// Where prompts come from: masks as in the paper, what annotators drew, or the anchor's own masks of the whole image
        public var source = Source.simulated
        /// What a coarse outline is to the model: the box around it as in the released code, or a mask as in the paper
        public var coarse = Coarse.box
        /// Positive points per instance
        public var positivePoints = 5
        /// Negative points per instance
        public var negativePoints = 5
        /// Instances per image; a seeded choice of so many when there are more
        public var maximumInstances = 40

        /// Where prompts come from.
        public enum Source: String, Codable, CaseIterable, Sendable {
            case simulated, annotations, automatic
        }

        /// What a coarse outline is to the model.
        public enum Coarse: String, Codable, CaseIterable, Sendable {
            case box, mask
        }

        /// The kinds of prompt; `coarse` is a simplified outline.
        public enum Kind: String, Codable, CaseIterable, Sendable {
            case box, point, coarse
        }

        /// The teacher's kind of prompt: the student's, or one of its own.
        public enum TeacherKind: String, Codable, CaseIterable, Sendable {
            case same, box, point
        }
    }

    /// The adaptation method.
    public struct Method: Codable, Equatable, Sendable {
        /// Adaptation method, by its name in the registry
        public var name = MethodRegistry.defaultName
        /// Losses as the paper states them, or with the instance count where the released code puts it
        public var lossForm = LossForm.paper
        /// Weight of the focal loss of the student against the teacher
        public var focalWeight = 20.0
        /// Weight of the dice loss of the student against the teacher
        public var diceWeight = 1.0
        /// Weight of the squared error of the predicted IoU
        public var iouWeight = 1.0
        /// Weight of the dice loss of student and teacher against the anchor
        public var anchorWeight = 1.0
        /// Weight of the contrastive loss of the teacher's instances against the anchor's
        public var contrastWeight = 1.0
        /// Temperature of the contrastive loss
        public var temperature = 0.3
        /// What the contrast holds against each other: instances, instances and background, or squares of the image
        public var contrast = Contrast.instances
        /// Side of a square of the patches form, cells of the image embedding; at least 2x2 and at most 32x32 squares
        public var patchSide = 8
        /// Share of the student's view that is hidden from it and filled with the teacher's features; 0 hides nothing
        public var maskRatio = 0.0
        /// Side of a hidden block, cells of the image embedding
        public var maskBlock = 4

        /// What the contrast holds against each other.
        public enum Contrast: String, Codable, CaseIterable, Sendable {
            case instances, background, patches
        }

        /// Which of the two published forms the losses take.
        public enum LossForm: String, Codable, CaseIterable, Sendable {
            case paper, released
        }
    }

    /// Labels that the anchor finds by itself.
    public struct Automatic: Codable, Equatable, Sendable {
        /// Points on a side of the grid of prompts
        public var pointsPerSide = 32
        /// Predicted IoU above which a mask is kept
        public var predictedIoU = 0.88
        /// Stability from which on a mask is kept
        public var stability = 0.95
        /// IoU of boxes above which the worse one is dropped
        public var boxSuppression = 0.7
        /// Layers of crops that are searched too, each of four times as many as the one before
        public var cropLayers = 0
        /// Holes and islands below this area in pixels are removed; 0 removes none
        public var minimumRegionArea = 0
    }

    /// The adapters.
    public struct LoRA: Codable, Equatable, Sendable {
        /// Rank of each adapter's two matrices
        public var rank = 4
    }

    /// The optimiser and its schedule.
    public struct Optimizer: Codable, Equatable, Sendable {
        /// Learning rate of Adam after the warm-up
        public var learningRate = 1e-4
        /// Factor of the L2 penalty on the adapters
        public var weightDecay = 1e-4
        /// Decay of Adam's mean of gradients
        public var beta1 = 0.9
        /// Decay of Adam's mean of squared gradients
        public var beta2 = 0.999
        /// Term that keeps Adam's division finite
        public var epsilon = 1e-8
        /// Steps over which the learning rate rises linearly from 0
        public var warmUpSteps = 250
        /// Steps at which the learning rate is multiplied by the decay factor, ascending
        public var decaySteps = [60_000, 86_666]
        /// Factor on the learning rate at each decay step
        public var decayFactor = 0.1
        /// true adds the penalty to the gradient (Adam with L2), false to the update (AdamW)
        public var coupledWeightDecay = true
    }

    /// The loop.
    public struct Training: Codable, Equatable, Sendable {
        /// Images per step over all ranks; the result does not depend on how many ranks share them
        public var globalBatch = 4
        /// Passes over the training images
        public var epochs = 1
        /// Steps in total; 0 is as many as the epochs take
        public var steps = 0
        /// Seed of everything random in the run
        public var seed = 1337
        /// Steps per log line
        public var logEvery = 1
        /// Steps between evaluations; 0 evaluates only at the end
        public var evaluateEvery = 0
        /// Samples each rank prepares ahead
        public var prefetchDepth = 4
        /// Threads per rank that prepare samples
        public var prefetchThreads = 1
        /// Compute threads per rank; 0 is the node's available cores divided by its ranks
        public var threads = 0
        /// Instances the mask decoder takes at once; fewer need less memory
        public var decoderChunk = 8
        /// What the encoder makes again in backward to save memory: nothing, its MLPs, or whole blocks
        public var recompute = RecomputeLevel.none
        /// What to do with a loss or gradient that is not finite
        public var nonFinite = NonFinite.stop
        /// Steps that may be skipped one after another before the run stops
        public var maximumSkips = 10

        /// What to do with a loss or gradient that is not finite.
        public enum NonFinite: String, Codable, CaseIterable, Sendable {
            case stop, skip
        }
    }

    /// What is saved to go on from.
    public struct Checkpoint: Codable, Equatable, Sendable {
        /// Steps between checkpoints; 0 leaves it to the time
        public var everySteps = 500
        /// Seconds between checkpoints, whichever comes first; 0 leaves it to the steps
        public var everySeconds = 120.0
        /// true writes beside the following steps, false lets every step wait for its checkpoint
        public var background = true
        /// How many of the newest stay, beside the one with the best scores
        public var keep = 2
        /// Failed saves in a row after which the run stops
        public var maximumFailures = 3
    }

    /// How long a rank may be silent.
    public struct Watchdog: Codable, Equatable, Sendable {
        /// Seconds without progress after which the ranks that are waited for are named; 0 never
        public var warnAfterSeconds = 60.0
        /// Seconds without a sign of life of a rank after which a start ends with status 72; 0 never
        public var loadLimitSeconds = 600.0
        /// The same for the first step, and for evaluations
        public var firstStepLimitSeconds = 300.0
        /// The same for all other steps
        public var stepLimitSeconds = 180.0
        /// The same for writing and reading checkpoints
        public var saveLimitSeconds = 420.0
    }

    /// Which rank computes which image of a batch.
    public struct Sampler: Codable, Equatable, Sendable {
        /// node deals an image to the same node in every epoch, as far as equal shares allow; none deals by place
        public var locality = Locality.node

        /// Whether images stay on their node.
        public enum Locality: String, Codable, CaseIterable, Sendable {
            case node, none
        }
    }

    /// Anchor embeddings that a node keeps from epoch to epoch.
    public struct AnchorStore: Codable, Equatable, Sendable {
        /// Whether embeddings are kept; the result is the same either way
        public var mode = Mode.on
        /// Largest size on each node, GiB; 0 is half of what the folder and the memory have free
        public var limitGiB = 0.0
        /// Folder on each node, /dev/shm for memory; empty is the node's temporary folder
        public var folder = ""
        /// Leave the embeddings for the next run
        public var keep = false

        /// Whether embeddings are kept.
        public enum Mode: String, Codable, CaseIterable, Sendable {
            case on, off
        }
    }

    /// What the ranks of a node share.
    public struct Node: Codable, Equatable, Sendable {
        /// One copy of the frozen weights per node in a shared window, or a private one per rank
        public var baseMemory = BaseMemory.window
        /// Folder for files of this node alone; empty is $TMPDIR, or /tmp without it
        public var temporaryFolder = ""

        /// Where the frozen weights lie.
        public enum BaseMemory: String, Codable, CaseIterable, Sendable {
            case window, `private`
        }
    }

    /// How the ranks compute together.
    public struct Execution: Codable, Equatable, Sendable {
        /// Ranks with different kernels (OpenBLAS's core or version): refuse them, or allow them and give up equal bits
        public var mixedKernels = MixedKernels.refuse

        /// What to do about ranks with different kernels.
        public enum MixedKernels: String, Codable, CaseIterable, Sendable {
            case refuse, allow
        }
    }

    /// What is measured before, during and after.
    public struct Evaluation: Codable, Equatable, Sendable {
        /// Kinds of prompt to evaluate with; [] evaluates nothing
        public var prompts = [Prompts.Kind.box, .point]
        /// Logit above which a pixel belongs to the mask; the released WeSAM code takes 0.5
        public var threshold = 0.0
        /// At most so many evaluation images; 0 is all
        public var limit = 0
        /// Evaluate the unadapted model before the first step
        public var before = true
        /// Measure the boundary IoU too, at the images' own resolution
        public var boundary = true
    }

    /// ``preprocessing`` with `auto` replaced by what the model was trained with.
    public var resolvedPreprocessing: Preprocessing {
        guard preprocessing == .auto else { return preprocessing }
        return switch model.kind.preprocessing {
        case .sam: .sam
        case .medsam: .medsam
        }
    }

    /// k of the `k:1` split, for `auto` where no split is published, or nil when all images serve for both training and
    /// evaluation.
    public var trainingImagesPerEvaluationImage: Int? {
        data.split == RecipeRule.publishedSplit ? 5 : RecipeRule.trainingShare(ofSplit: data.split)
    }
}
