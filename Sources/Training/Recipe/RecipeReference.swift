/// The table of all recipe fields, from which files are read, checked, printed and explained.
public enum RecipeReference {
    /// The sections in their order, with a line for the reference recipe.
    package static let sections: [(name: String, doc: String)] = [
        ("run", "Name and place of the run."),
        ("model", "The base model."),
        ("data", "Images and labels."),
        ("", "Pixel normalisation and padding."),
        ("prompts", "The weak labels."),
        ("method", "The adaptation method."),
        ("automatic", "Labels that the anchor finds by itself."),
        ("lora", "The adapters."),
        ("optimizer", "The optimiser and its schedule."),
        ("training", "The loop."),
        ("checkpoint", "What is saved to go on from."),
        ("watchdog", "How long a rank may be silent."),
        ("sampler", "Which rank computes which image of a batch."),
        ("anchorStore", "Anchor embeddings that a node keeps from epoch to epoch."),
        ("node", "What the ranks of a node share."),
        ("execution", "How the ranks compute together."),
        ("evaluation", "What is measured before, during and after."),
    ]

    private static let unit = RecipeRule.number(from: 0, to: 1, isOpen: false)
    private static let decay = RecipeRule.number(from: 0, to: 0.999_999_9, isOpen: false)
    private static let positive = RecipeRule.number(from: 0, to: .infinity, isOpen: true)
    private static let weight = RecipeRule.number(from: 0, to: 1e6, isOpen: false)
    private static let count = 0...1_000_000_000

    /// All fields, section by section.
    public static let fields: [RecipeField] =
        runFields + modelFields + dataFields + promptFields + methodFields + optimizerFields + trainingFields
        + checkpointFields + watchdogFields + nodeFields + evaluationFields

    private static let runFields: [RecipeField] = [
        .text("run.name", \.run.name, rule: .name, shapesResult: false, "Name of the run and of its folder"),
        .text("run.folder", \.run.folder, shapesResult: false, "Folder that holds the folders of all runs"),
    ]

    private static let modelFields: [RecipeField] = [
        .choice(
            "model.kind", \.model.kind,
            "Architecture of the base model; tiny is a small seeded random model for tests"),
        .text(
            "model.weights", \.model.weights, shapesResult: false,
            "Checkpoint of the base model, .safetensors or .pth; empty is where scripts/fetch-weights puts it; "
                + "random:SEED is noise of the real sizes, for trying out memory and speed"),
        .integer(
            "model.imageSize", \.model.imageSize, 0...4096,
            "Side of the square the image is resized and padded to, in pixels; 0 is the model's own"),
    ]

    private static let dataFields: [RecipeField] = [
        .text("data.format", \.data.format, rule: .name, "Format of the data set, by its name in the registry"),
        .text("data.root", \.data.root, shapesResult: false, "Folder of the data set"),
        .text("data.images", \.data.images, shapesResult: false, "Folder of the images, below the root"),
        .text("data.labels", \.data.labels, shapesResult: false, "Folder of the label images, below the root"),
        .optionalInteger(
            "data.binarise", \.data.binarise, 0...254,
            "Label values above this become one instance, all others background; "
                + "none reads values as instance numbers"),
        .split(
            "data.split", \.data.split,
            "auto is the published split, else 5:1; k:1 trains on k of k + 1 images, scores the other; "
                + "none: both on all"),
        .optionalInteger(
            "data.splitSeed", \.data.splitSeed, 0...Int.max,
            "Seed that shuffles the list before the split; none keeps its order; a published split takes none"),
        .optionalText(
            "data.evaluationRoot", \.data.evaluationRoot, shapesResult: false,
            "Folder of another data set to evaluate on; none evaluates on the split"),
        .integer(
            "data.limit", \.data.limit, count,
            "At most so many images, before the split, of a published one in proportion; 0 is all"),
        .choice("data.exif", \.data.exif, "What to do with the orientation an image file states"),
        .choice(
            "data.flips", \.data.flips,
            "Mirroring of the weak view: drawn for every epoch, drawn once per image, or none"),
        .choice(
            "data.badSamples", \.data.badSamples,
            "What to do with an image or label that cannot be read, or gives no prompt: stop the run, or go on without it"
        ),
        .integer(
            "data.maximumBadSamples", \.data.maximumBadSamples, count, shapesResult: false,
            "Images that may be left out in the whole run before it stops"),
        .flag(
            "data.followSymlinks", \.data.followSymlinks, shapesResult: false,
            "Follow symbolic links out of the data set's folder"),
        .optionalText(
            "data.annotations", \.data.annotations, shapesResult: false,
            "Annotation file or folder below the root, for formats that have one; "
                + "none is where the format has it by custom"),
        .choice(
            "data.labelRules", \.data.labelRules,
            "Doubtful annotations as they are meant, or as the released WeSAM code takes them"),
        .choice(
            "preprocessing", \.preprocessing,
            "Pixel normalisation and padding: sam, wesam, medsam, or auto for what the model was trained with"),
    ]

    private static let promptFields: [RecipeField] = [
        .choice("prompts.kind", \.prompts.kind, "Weak label that training derives from each instance"),
        .choice(
            "prompts.teacherKind", \.prompts.teacherKind,
            "Weak label of the teacher and the anchor where it is to be another than the student's"),
        .choice(
            "prompts.source", \.prompts.source,
            "Where prompts come from: masks as in the paper, what annotators drew, or the anchor's own masks of the whole image"
        ),
        .choice(
            "prompts.coarse", \.prompts.coarse,
            "What a coarse outline is to the model: the box around it as in the released code, or a mask as in the paper"
        ),
        .integer("prompts.positivePoints", \.prompts.positivePoints, 0...100, "Positive points per instance"),
        .integer("prompts.negativePoints", \.prompts.negativePoints, 0...100, "Negative points per instance"),
        .integer(
            "prompts.maximumInstances", \.prompts.maximumInstances, 1...10_000,
            "Instances per image; a seeded choice of so many when there are more"),
    ]

    private static let methodFields: [RecipeField] = [
        .text("method.name", \.method.name, rule: .name, "Adaptation method, by its name in the registry"),
        .choice(
            "method.lossForm", \.method.lossForm,
            "Losses as the paper states them, or with the instance count where the released code puts it"),
        .number(
            "method.focalWeight", \.method.focalWeight, weight,
            "Weight of the focal loss of the student against the teacher"),
        .number(
            "method.diceWeight", \.method.diceWeight, weight,
            "Weight of the dice loss of the student against the teacher"),
        .number(
            "method.iouWeight", \.method.iouWeight, weight, "Weight of the squared error of the predicted IoU"),
        .number(
            "method.anchorWeight", \.method.anchorWeight, weight,
            "Weight of the dice loss of student and teacher against the anchor"),
        .number(
            "method.contrastWeight", \.method.contrastWeight, weight,
            "Weight of the contrastive loss of the teacher's instances against the anchor's"),
        .number("method.temperature", \.method.temperature, positive, "Temperature of the contrastive loss"),
        .choice(
            "method.contrast", \.method.contrast,
            "What the contrast holds against each other: instances, instances and background, or squares of the image"),
        .integer(
            "method.patchSide", \.method.patchSide, 1...32,
            "Side of a square of the patches form, cells of the image embedding; at least 2x2 and at most 32x32 squares"
        ),
        .number(
            "method.maskRatio", \.method.maskRatio, .number(from: 0, to: 0.95, isOpen: false),
            "Share of the student's view that is hidden from it and filled with the teacher's features; 0 hides nothing"
        ),
        .integer(
            "method.maskBlock", \.method.maskBlock, 1...32,
            "Side of a hidden block, cells of the image embedding"),
        .integer(
            "automatic.pointsPerSide", \.automatic.pointsPerSide, 1...1024,
            "Points on a side of the grid of prompts"),
        .number(
            "automatic.predictedIoU", \.automatic.predictedIoU, .number(from: 0, to: 1, isOpen: false),
            "Predicted IoU above which a mask is kept"),
        .number(
            "automatic.stability", \.automatic.stability, .number(from: 0, to: 1, isOpen: false),
            "Stability from which on a mask is kept"),
        .number(
            "automatic.boxSuppression", \.automatic.boxSuppression, .number(from: 0, to: 1, isOpen: false),
            "IoU of boxes above which the worse one is dropped"),
        .integer(
            "automatic.cropLayers", \.automatic.cropLayers, 0...3,
            "Layers of crops that are searched too, each of four times as many as the one before"),
        .integer(
            "automatic.minimumRegionArea", \.automatic.minimumRegionArea, count,
            "Holes and islands below this area in pixels are removed; 0 removes none"),
        .integer("lora.rank", \.lora.rank, 1...256, "Rank of each adapter's two matrices"),
    ]

    private static let optimizerFields: [RecipeField] = [
        .number("optimizer.learningRate", \.optimizer.learningRate, unit, "Learning rate of Adam after the warm-up"),
        .number("optimizer.weightDecay", \.optimizer.weightDecay, unit, "Factor of the L2 penalty on the adapters"),
        .number("optimizer.beta1", \.optimizer.beta1, decay, "Decay of Adam's mean of gradients"),
        .number("optimizer.beta2", \.optimizer.beta2, decay, "Decay of Adam's mean of squared gradients"),
        .number("optimizer.epsilon", \.optimizer.epsilon, positive, "Term that keeps Adam's division finite"),
        .integer(
            "optimizer.warmUpSteps", \.optimizer.warmUpSteps, count,
            "Steps over which the learning rate rises linearly from 0"),
        .integers(
            "optimizer.decaySteps", \.optimizer.decaySteps, 1...count.upperBound,
            "Steps at which the learning rate is multiplied by the decay factor, ascending"),
        .number(
            "optimizer.decayFactor", \.optimizer.decayFactor, unit,
            "Factor on the learning rate at each decay step"),
        .flag(
            "optimizer.coupledWeightDecay", \.optimizer.coupledWeightDecay,
            "true adds the penalty to the gradient (Adam with L2), false to the update (AdamW)"),
    ]

    private static let trainingFields: [RecipeField] = [
        .integer(
            "training.globalBatch", \.training.globalBatch, 1...65_536,
            "Images per step over all ranks; the result does not depend on how many ranks share them"),
        .integer(
            "training.epochs", \.training.epochs, 1...1_000_000, shapesResult: false,
            "Passes over the training images"),
        .integer(
            "training.steps", \.training.steps, count, shapesResult: false,
            "Steps in total; 0 is as many as the epochs take"),
        .integer("training.seed", \.training.seed, 0...Int.max, "Seed of everything random in the run"),
        .integer("training.logEvery", \.training.logEvery, 1...1_000_000, shapesResult: false, "Steps per log line"),
        .integer(
            "training.evaluateEvery", \.training.evaluateEvery, count, shapesResult: false,
            "Steps between evaluations; 0 evaluates only at the end"),
        .integer(
            "training.prefetchDepth", \.training.prefetchDepth, 1...1024, shapesResult: false,
            "Samples each rank prepares ahead"),
        .integer(
            "training.prefetchThreads", \.training.prefetchThreads, 1...64, shapesResult: false,
            "Threads per rank that prepare samples"),
        .integer(
            "training.threads", \.training.threads, 0...1024, shapesResult: false,
            "Compute threads per rank; 0 is the node's available cores divided by its ranks"),
        .integer(
            "training.decoderChunk", \.training.decoderChunk, 1...1024,
            "Instances the mask decoder takes at once; fewer need less memory"),
        .choice(
            "training.recompute", \.training.recompute, shapesResult: false,
            "What the encoder makes again in backward to save memory: nothing, its MLPs, or whole blocks"),
        .choice(
            "training.nonFinite", \.training.nonFinite, shapesResult: false,
            "What to do with a loss or gradient that is not finite"),
        .integer(
            "training.maximumSkips", \.training.maximumSkips, 0...1_000_000, shapesResult: false,
            "Steps that may be skipped one after another before the run stops"),
    ]

    private static let checkpointFields: [RecipeField] = [
        .integer(
            "checkpoint.everySteps", \.checkpoint.everySteps, count, shapesResult: false,
            "Steps between checkpoints; 0 leaves it to the time"),
        .number(
            "checkpoint.everySeconds", \.checkpoint.everySeconds, weight, shapesResult: false,
            "Seconds between checkpoints, whichever comes first; 0 leaves it to the steps"),
        .flag(
            "checkpoint.background", \.checkpoint.background, shapesResult: false,
            "true writes beside the following steps, false lets every step wait for its checkpoint"),
        .integer(
            "checkpoint.keep", \.checkpoint.keep, 2...1_000_000, shapesResult: false,
            "How many of the newest stay, beside the one with the best scores"),
        .integer(
            "checkpoint.maximumFailures", \.checkpoint.maximumFailures, 1...1_000_000, shapesResult: false,
            "Failed saves in a row after which the run stops"),
    ]

    private static let watchdogFields: [RecipeField] = [
        .number(
            "watchdog.warnAfterSeconds", \.watchdog.warnAfterSeconds, weight, shapesResult: false,
            "Seconds without progress after which the ranks that are waited for are named; 0 never"),
        .number(
            "watchdog.loadLimitSeconds", \.watchdog.loadLimitSeconds, weight, shapesResult: false,
            "Seconds without a sign of life of a rank after which a start ends with status 72; 0 never"),
        .number(
            "watchdog.firstStepLimitSeconds", \.watchdog.firstStepLimitSeconds, weight, shapesResult: false,
            "The same for the first step, and for evaluations"),
        .number(
            "watchdog.stepLimitSeconds", \.watchdog.stepLimitSeconds, weight, shapesResult: false,
            "The same for all other steps"),
        .number(
            "watchdog.saveLimitSeconds", \.watchdog.saveLimitSeconds, weight, shapesResult: false,
            "The same for writing and reading checkpoints"),
    ]

    private static let nodeFields: [RecipeField] = [
        .choice(
            "sampler.locality", \.sampler.locality, shapesResult: false,
            "node deals an image to the same node in every epoch, as far as equal shares allow; none deals by place"),
        .choice(
            "anchorStore.mode", \.anchorStore.mode, shapesResult: false,
            "Whether embeddings are kept; the result is the same either way"),
        .number(
            "anchorStore.limitGiB", \.anchorStore.limitGiB, weight, shapesResult: false,
            "Largest size on each node, GiB; 0 is half of what the folder and the memory have free"),
        .text(
            "anchorStore.folder", \.anchorStore.folder, shapesResult: false,
            "Folder on each node, /dev/shm for memory; empty is the node's temporary folder"),
        .flag(
            "anchorStore.keep", \.anchorStore.keep, shapesResult: false,
            "Leave the embeddings for the next run"),
        .choice(
            "node.baseMemory", \.node.baseMemory, shapesResult: false,
            "One copy of the frozen weights per node in a shared window, or a private one per rank"),
        .text(
            "node.temporaryFolder", \.node.temporaryFolder, shapesResult: false,
            "Folder for files of this node alone; empty is $TMPDIR, or /tmp without it"),
        .choice(
            "execution.mixedKernels", \.execution.mixedKernels, shapesResult: false,
            "Ranks with different kernels (OpenBLAS's core or version): refuse them, or allow them and give up equal bits"
        ),
    ]

    private static let evaluationFields: [RecipeField] = [
        .choices(
            "evaluation.prompts", \.evaluation.prompts, shapesResult: false,
            "Kinds of prompt to evaluate with; [] evaluates nothing"),
        .number(
            "evaluation.threshold", \.evaluation.threshold, .number(from: -20, to: 20, isOpen: false),
            shapesResult: false,
            "Logit above which a pixel belongs to the mask; the released WeSAM code takes 0.5"),
        .integer(
            "evaluation.limit", \.evaluation.limit, count, shapesResult: false,
            "At most so many evaluation images; 0 is all"),
        .flag(
            "evaluation.before", \.evaluation.before, shapesResult: false,
            "Evaluate the unadapted model before the first step"),
        .flag(
            "evaluation.boundary", \.evaluation.boundary, shapesResult: false,
            "Measure the boundary IoU too, at the images' own resolution"),
    ]

    /// The field of a dotted key.
    public static func field(_ key: String) -> RecipeField? { fields.first { $0.key == key } }

    /// A commented recipe of all defaults, as `recipes/reference.yaml` holds it.
    public static var yaml: String {
        var text = """
            # Every key of a recipe with its default; leave out what you do not change.
            # Later wins: defaults, the recipe file, KEDGE_SET="key=value;key=value", --set key=value (keys with dots).
            # Made from the table in Sources/Training/Recipe/RecipeReference.swift; a test keeps the two equal.

            """
        for section in sections {
            text += "\n"
            if !section.name.isEmpty { text += "# \(section.doc)\n\(section.name):\n" }
            let indent = section.name.isEmpty ? "" : "    "
            for field in fields where field.section == section.name {
                text += "\(indent)# \(field.doc).\n"
                text += "\(indent)\(field.name): \(field.defaultValue)  # \(field.rule.description)\n"
            }
        }
        return text
    }

    /// The table as plain text, one key per paragraph, for `--help`.
    public static var helpText: String {
        fields.map { "\($0.key)  (\($0.rule.description); default \($0.defaultValue))\n    \($0.doc)." }
            .joined(separator: "\n")
    }

    /// The known key nearest to a mistaken one, by edit distance of the whole path or of its last part.
    package static func nearestKey(to key: String) -> String {
        let last = key.split(separator: ".").last.map(String.init) ?? key
        func distance(_ field: RecipeField) -> Int {
            min(editDistance(key, field.key), 1 + editDistance(last, field.name))
        }
        let best = fields.map { (key: $0.key, distance: distance($0)) }.min { $0.distance < $1.distance }
        return best?.key ?? ""
    }

    /// Levenshtein distance: the fewest insertions, deletions and substitutions that turn one text into the other.
    ///
    /// Only the first 64 bytes count, which bounds the work on hostile input.
    package static func editDistance(_ first: String, _ second: String) -> Int {
        let target = Array(second.lowercased().utf8.prefix(64))
        var row = Array(0...target.count)
        for (i, byte) in first.lowercased().utf8.prefix(64).enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in target.enumerated() {
                let substitution = diagonal + (byte == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[target.count]
    }
}
