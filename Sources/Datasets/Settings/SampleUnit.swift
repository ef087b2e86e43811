/// What one sample of a data set is: an image with all its masks, or an image with a single one.
public enum SampleUnit: String, CaseIterable, Sendable {
    /// As the format defines it: a mask for sets of defects made for one mask a sample, else an image.
    case auto
    /// An image with all its instances.
    case image
    /// An image with one of its instances: as many samples as there are.
    case instance
    /// An image with its largest instance.
    case largest
    /// An image with the union of its instances.
    case whole
}
