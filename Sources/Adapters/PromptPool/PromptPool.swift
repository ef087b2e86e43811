public import Layers
public import Tensors

// m prompts P of L tokens and their keys K. An image takes the k prompts whose keys are most similar to its query, or
// those that its batch has chosen; their k L tokens follow those of every prompt. Tokens have no position in the
// decoder, so they are in the order of the prompts' numbers. Keys learn only from `pull`, prompts only from the tokens.

/// A pool of prompts with keys, of which every image takes those nearest to it (L2P, Wang et al., CVPR 2022, as CoSAM's
/// code puts it into SAM's mask decoder).
public struct PromptPool: AdapterSet, PromptTokenAdapter {
    /// The kind's name.
    public static let kind: String = "prompt-pool"
    /// The kind's name.
    public var kind: String { Self.kind }
    /// Prompts, keys.
    public let parameters: [Parameter]
    /// The sizes.
    public let sizes: PromptPoolSettings
    /// The prompts that the image's batch has chosen, ascending; nil for the image's own choice.
    private let chosen: [Int]?

    private var prompts: Parameter { parameters[0] }  // [m, L, C]
    private var keys: Parameter { parameters[1] }  // [m, C]

    /// A fresh pool, uniform in +-1; a function of the seed alone.
    ///
    /// - Parameter width: Width C of the decoder's tokens.
    public init(_ sizes: PromptPoolSettings, width: Int, seed: UInt64, _ places: inout ParameterPlaces) {
        parameters = [
            places.uniform("prompt_pool.prompt", [sizes.count, sizes.length, width], seed: seed),
            places.uniform("prompt_pool.prompt_key", [sizes.count, width], seed: seed),
        ]
        (self.sizes, chosen) = (sizes, nil)
    }

    private init(_ other: PromptPool, chosen: [Int]) {
        (parameters, sizes, self.chosen) = (other.parameters, other.sizes, chosen)
    }

    /// The pool with the prompts that a batch has chosen.
    public func choosing(_ numbers: [Int]) -> PromptPool { PromptPool(self, chosen: numbers.sorted()) }

    /// Itself.
    public var promptTokens: (any PromptTokenAdapter)? { self }

    // MARK: The choice

    /// The similarity of an image to every key. // [m]
    public func similarities(to features: ImageFeatures, in context: PassContext) -> [Double] {
        let (query, keys) = (ImageQuery(features), context.value(of: keys))
        return (0..<sizes.count).map { query.similarity(to: keys.rows($0..<$0 + 1).elements) }
    }

    /// The prompts of an image, ascending: the batch's choice, else those with the most similar keys, of equals the first.
    public func numbers(for features: ImageFeatures, in context: PassContext) -> [Int] {
        if let chosen { return chosen }
        let similarities = similarities(to: features, in: context)
        let order = similarities.indices.sorted { (-similarities[$0], $0) < (-similarities[$1], $1) }
        return order.prefix(sizes.perImage).sorted()
    }

    /// The prompts that a batch's images name most often, ascending; of equals the first.
    ///
    /// - Parameter votes: All numbers that the images name, in any order.
    public func elected(by votes: [Int]) -> [Int] {
        var counts = [Int](repeating: 0, count: sizes.count)
        for vote in votes { counts[vote] += 1 }
        let order = counts.indices.sorted { (-counts[$0], $0) < (-counts[$1], $1) }
        return order.prefix(sizes.perImage).sorted()
    }

    // MARK: Tokens

    /// The tokens of the image's prompts. // [k L, C]
    public func tokens(for features: ImageFeatures, in context: PassContext) -> Tensor {
        let values = context.value(of: prompts)
        let numbers = numbers(for: features, in: context)
        return Tensor(
            numbers.flatMap { values.rows($0..<$0 + 1).elements },
            [numbers.count * sizes.length, values.shape[2]])
    }

    /// Adds the gradients of the prompts that were taken. // [k L, C]
    public func backward(
        _ dTokens: Tensor, features: ImageFeatures, gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard let slot = context.slot(of: prompts) else { return }
        let size = sizes.length * dTokens.shape[1]
        var dPrompts = Tensor(zeros: prompts.shape)
        let (source, destination) = (dTokens.pointer, dPrompts.mutablePointer)
        for (place, number) in numbers(for: features, in: context).enumerated() {
            (destination + number * size).update(from: source + place * size, count: size)
        }
        gradients.add(dPrompts, at: slot)
    }

    /// The sum of the similarities of an image to the keys of its prompts; the gradient of its negative, times a weight, is
    /// added to that of the keys.
    public func pull(
        _ features: ImageFeatures, weight: Double, gradients: inout GradientBuffer, in context: PassContext
    ) -> Double {
        let (query, values) = (ImageQuery(features), context.value(of: keys))
        var dKeys = Tensor(zeros: values.shape)
        let (destination, width) = (dKeys.mutablePointer, values.shape[1])
        var sum = 0.0
        for number in numbers(for: features, in: context) {
            let key = values.rows(number..<number + 1).elements
            sum += query.similarity(to: key)
            for (channel, slope) in query.gradient(by: key).enumerated() {
                destination[number * width + channel] = Float(-weight * slope)
            }
        }
        if let slot = context.slot(of: keys) { gradients.add(dKeys, at: slot) }
        return sum
    }
}
