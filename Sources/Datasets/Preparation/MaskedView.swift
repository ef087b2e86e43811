public import Imaging

/// An image with the mask of one object, both of the model's input size, before normalisation.
///
/// `Preprocessing.apply(to:)` of the model turns the image into its input, as it is of that size already.
public struct MaskedView: Sendable, Equatable {
    /// The image, cut to 8 bits. // [S, S, 3]
    public let image: Image
    /// The mask. // [S, S]
    public let mask: GreyMask

    /// Joins an image and its mask.
    public init(image: Image, mask: GreyMask) {
        precondition(
            (image.width, image.height) == (mask.width, mask.height), "a mask of another size than its image")
        (self.image, self.mask) = (image, mask)
    }

    /// Squashes an image and its mask to the model's square, as continual methods test and fill their memory.
    ///
    /// Bilinear without antialiasing; the aspect ratio is not kept; the image is cut to 8 bits, the mask stays real.
    public init(squashing image: Image, _ mask: GreyMask, side: Int) {
        precondition(
            (image.width, image.height) == (mask.width, mask.height), "a mask of another size than its image")
        self.init(image: Self.squash(image, side: side), mask: mask.resized(width: side, height: side))
    }

    /// An image squashed to the model's square, without a mask. // [S, S, 3]
    public static func squash(_ image: Image, side: Int) -> Image {
        BilinearSampling(from: (image.width, image.height), to: (side, side)).image(image, side: side, padding: 0)
    }
}
