public import Imaging
package import Tensors

/// The weak augmentation of WeSAM: mirrorings that move image, masks and boxes alike.
///
/// Three operations fire with probability 1/2 each: a flip along an axis drawn from {vertical, horizontal, both}, a
/// horizontal flip, a vertical flip. Together they make the four flip states equally likely (albumentations' `Flip`,
/// `HorizontalFlip`, `VerticalFlip`).
public enum WeakAugmentation {
    /// Draws the flip of one sample in one epoch.
    public static func draw(seed: UInt64, epoch: Int, sample: Int) -> Flip {
        var generator = SeededGenerator(seed: seed, epoch: epoch, sample: sample, purpose: "weak augmentation")
        return draw(using: &generator)
    }

    /// Draws a flip from a generator.
    package static func draw(using generator: inout SeededGenerator) -> Flip {
        var flip = Flip.none
        if generator.chance(0.5) {
            let axes: [Flip] = [.vertical, .horizontal, .both]
            flip = flip.then(axes[generator.index(below: axes.count)])
        }
        if generator.chance(0.5) { flip = flip.then(.horizontal) }
        if generator.chance(0.5) { flip = flip.then(.vertical) }
        return flip
    }
}
