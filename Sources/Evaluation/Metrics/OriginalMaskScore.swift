public import Imaging
public import Kernels
public import Tensors

// CoSAM's scores of one image with one mask (Yang et al., arXiv 2412.06418, released code):
//   P = logits, resized bilinearly straight to the size of the original mask (align_corners false), > 0
//   G = label > 128
//   IoU = |P and G| / |P or G|,   boundary IoU as `BoundaryIoU` defines it, with d of the original size
// The released code divides 0 by 0 where both are empty; here such a mask is right, 1, and counted.

/// The IoU and the boundary IoU of one mask at the size of its original image.
public struct OriginalMaskScore: Sendable, Equatable {
    /// Label values above this are foreground.
    public static let labelThreshold: UInt8 = 128

    /// |P and G| / |P or G|; 1 if both are empty.
    public let iou: Double
    /// The same of the boundaries; 1 if both are empty.
    public let boundaryIoU: Double
    /// Whether neither prediction nor truth has a pixel, so that both scores are 1 by definition.
    public let isEmpty: Bool

    /// Scores a mask. // both [H, W]
    public init(prediction: [Bool], truth: [Bool], width: Int, height: Int) {
        precondition(prediction.count == width * height && truth.count == width * height)
        var (both, either) = (0, 0)
        for place in truth.indices {
            if prediction[place] && truth[place] { both += 1 }
            if prediction[place] || truth[place] { either += 1 }
        }
        isEmpty = either == 0
        iou = isEmpty ? 1 : Double(both) / Double(either)
        boundaryIoU = BoundaryIoU.value(prediction, truth, width: width, height: height)
    }

    /// Scores low-resolution logits of the whole squashed image against the original mask.
    ///
    /// - Parameters:
    ///   - logits: Of any size; resized to the mask's. // [h, w]
    ///   - truth: The true mask. // [H, W]
    public init(logits: Tensor, truth: [Bool], width: Int, height: Int, in workspace: Workspace) {
        self.init(
            prediction: Self.prediction(logits, width: width, height: height, in: workspace), truth: truth,
            width: width, height: height)
    }

    /// The mask that logits give at a size: their bilinear interpolation above 0. // [h, w] to [H, W]
    public static func prediction(_ logits: Tensor, width: Int, height: Int, in workspace: Workspace) -> [Bool] {
        precondition(logits.shape.rank == 2, "logits of one mask, not of shape \(logits.shape)")
        var resized = Tensor(uninitialized: [1, height, width])
        BilinearResizeKernel.forward(
            logits.reshaped([1, logits.shape[0], logits.shape[1]]), into: &resized, in: workspace)
        return resized.elements.map { $0 > 0 }
    }

    /// The foreground of a label picture: its first channel above 128. // [H, W]
    public static func foreground(of label: Image) -> [Bool] {
        (0..<label.width * label.height).map { label.pixels[$0 * label.channels] > labelThreshold }
    }
}
