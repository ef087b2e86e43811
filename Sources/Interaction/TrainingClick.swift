// SUM, section 4 of the paper (Liu et al. 2024) and `point_sampler` of its code: the first click is drawn from the object,
// with label 1, a later one from the region in which prediction and label differ, with the label's value there. Where the
// label may be wrong, the chances are proportional to its certainty. One draw over the whole region, not first a sign and
// then a pixel.

extension Click {
    /// The click that a trainer makes for an object.
    ///
    /// - Parameters:
    ///   - target: The object's label.
    ///   - prediction: The mask predicted in the round before; nil for the first click.
    ///   - certainty: c of every pixel, from 0 to 1; nil where the label is trusted alike everywhere. // [H, W]
    ///   - uniform: The random number of this object and round, from 0 and below 1.
    ///   - backup: A pixel of the object, which is clicked with label 1 where nothing can be drawn.
    public static func training(
        on target: PixelMask, after prediction: PixelMask?, certainty: [Float]?, uniform: Double,
        backup: (x: Int, y: Int)
    ) -> Click {
        let region = prediction.map(target.differing) ?? target
        guard let index = RegionSampling.pixel(of: region, weights: certainty, uniform: uniform) else {
            return Click(x: backup.x, y: backup.y, isForeground: true)
        }
        return Click(x: index % target.width, y: index / target.width, isForeground: target.pixels[index])
    }
}
