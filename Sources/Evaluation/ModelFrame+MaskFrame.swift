import Datasets
import SegmentAnything

extension ModelFrame {
    /// The same placement as the type used by mask post-processing.
    var maskFrame: MaskFrame {
        MaskFrame(
            side: side, left: left, top: top, width: resizedWidth, height: resizedHeight,
            originalWidth: originalWidth, originalHeight: originalHeight)
    }
}
