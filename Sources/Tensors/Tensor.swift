/// A contiguous, row-major array of `Float` with at most four dimensions.
///
/// A tensor is a value: assigning or passing it is free, and writing to one copy never changes another (storage that is
/// shared at the moment of a write is copied). Views made by `reshaped` and `rows` share storage in the same
/// way. Inner loops read and write elements through `pointer` and `mutablePointer`, in kernels and wherever floats are
/// copied to or from files, slabs and other buffers.
public struct Tensor: Sendable {
    /// The extents.
    public let shape: Shape
    private var storage: TensorStorage
    private var offset: Int

    private init(shape: Shape, storage: TensorStorage, offset: Int) {
        self.shape = shape
        self.storage = storage
        self.offset = offset
    }

    /// A tensor whose contents are undefined until written.
    public init(uninitialized shape: Shape) {
        self.init(shape: shape, storage: TensorStorage(count: shape.count), offset: 0)
    }

    /// A tensor filled with one value.
    public init(repeating value: Float, _ shape: Shape) {
        self.init(uninitialized: shape)
        storage.base.update(repeating: value, count: shape.count)
    }

    /// A tensor of zeros.
    public init(zeros shape: Shape) {
        self.init(repeating: 0, shape)
    }

    /// A tensor with the given elements in row-major order.
    public init(_ elements: [Float], _ shape: Shape) {
        precondition(elements.count == shape.count, "\(elements.count) elements do not fill shape \(shape)")
        self.init(uninitialized: shape)
        elements.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { storage.base.update(from: base, count: source.count) }
        }
    }

    /// A read-only tensor over borrowed memory, starting `offset` floats into `storage`.
    public init(viewing storage: TensorStorage, offset: Int, shape: Shape) {
        precondition(offset >= 0 && offset + shape.count <= storage.count, "view outside its storage")
        self.init(shape: shape, storage: storage, offset: offset)
    }

    /// The number of elements.
    public var count: Int { shape.count }

    /// Read access to the elements. Valid as long as the tensor: use it on a parameter or a stored variable, never on a
    /// temporary.
    public var pointer: UnsafePointer<Float> { UnsafePointer(storage.base + offset) }

    /// Write access to the elements; copies the storage first if it is shared or borrowed.
    public var mutablePointer: UnsafeMutablePointer<Float> {
        mutating get {
            if storage.isReadOnly || !isKnownUniquelyReferenced(&storage) {
                let copy = TensorStorage(count: count)
                copy.base.update(from: storage.base + offset, count: count)
                storage = copy
                offset = 0
            }
            return storage.base + offset
        }
    }

    /// The same elements under another shape; free.
    public func reshaped(_ shape: Shape) -> Tensor {
        precondition(shape.count == count, "cannot view \(self.shape) as \(shape)")
        return Tensor(shape: shape, storage: storage, offset: offset)
    }

    /// A range of the first dimension; free.
    public func rows(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
        let stride = shape[0] == 0 ? 0 : count / shape[0]
        let dimensions = [range.count] + shape.dimensions.dropFirst()
        return Tensor(shape: Shape(dimensions), storage: storage, offset: offset + range.lowerBound * stride)
    }

    /// One element by its row-major position; for tests and small tables, not for loops.
    public subscript(index: Int) -> Float {
        get {
            precondition(index >= 0 && index < count, "element \(index) of \(shape)")
            return storage.base[offset + index]
        }
        set {
            precondition(index >= 0 && index < count, "element \(index) of \(shape)")
            mutablePointer[index] = newValue
        }
    }

    /// The elements copied out in row-major order.
    public var elements: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}
