public import Datasets
public import Imaging
public import Tensors

extension EvaluationView {
    /// The model's input for an RGB image in this view. // [S, S, 3]
    public func input(of image: Image, _ preprocessing: Preprocessing) -> Tensor {
        switch self {
        case .fit: preprocessing.apply(to: image)
        case .squash: preprocessing.apply(to: MaskedView.squash(image, side: preprocessing.side))
        }
    }

    /// Where an image of a size lies in the model's square in this view.
    func frame(width: Int, height: Int, _ preprocessing: Preprocessing) -> ModelFrame {
        switch self {
        case .fit: preprocessing.frame(width: width, height: height)
        case .squash: ModelFrame(squashing: (width, height), side: preprocessing.side)
        }
    }
}
