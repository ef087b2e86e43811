public import Imaging
package import Tensors

/// The weak augmentation of WeSAM: mirrorings that move image, masks and boxes alike.
///
/// Three operations fire with probability 1/2 each: a flip along an axis drawn from {vertical, horizontal, both}, a
/// horizontal flip, a vertical flip. Together they make the four flip states equally likely (albumentations' `Flip`,
/// `HorizontalFlip`, `VerticalFlip`).
public enum WeakAugmentation {
    /// How often a sample's flip is drawn.
    public enum Schedule: Sendable {
        /// In every epoch, as in WeSAM.
        case everyEpoch
        /// Once: every epoch sees the same weak view, and one anchor embedding serves all of them.
        case oncePerImage
        /// Never.
        case never
    }

    /// Draws the flip of one sample in one epoch.
    public static func draw(_ schedule: Schedule, seed: UInt64, epoch: Int, sample: Int) -> Flip {
        if schedule == .never { return .none }
        var generator = SeededGenerator(
            seed: seed, epoch: schedule == .oncePerImage ? 0 : epoch, sample: sample, purpose: "weak augmentation")
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
